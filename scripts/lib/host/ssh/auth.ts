/**
 * How we log in: which keys and methods are tried, in which order, and what is said when none is accepted.
 * Configured keys first (so that an agent with many keys does not use up the server's MaxAuthTries), then the agent's,
 * then the default keys, then the password. A secret is revealed only to the library that signs with it.
 */
import { readFile } from 'node:fs/promises'
import type ssh2Module from 'ssh2'
import type { AnyAuthMethod, AuthenticationType, BaseAgent, ParsedKey } from 'ssh2'
import { messageOf, OpsError, systemCode } from '../../core/errors.ts'
import { fingerprintOf } from './known-hosts.ts'
import type { SshTarget } from './target.ts'

type Ssh2 = typeof ssh2Module

export interface LoginPlan {
  readonly attempts: readonly LoginAttempt[]
  /** Keys that cannot be tried, with the reason: `~/.ssh/id_rsa (needs a passphrase)`. */
  readonly unusable: readonly string[]
}

export interface LoginAttempt {
  /** For people: `key /home/deploy/.ssh/id_ed25519 (SHA256:…)`, `password`. Never a secret. */
  readonly label: string
  readonly method: AnyAuthMethod
}

export async function planLogin(target: SshTarget, ssh2: Ssh2): Promise<LoginPlan> {
  const [files, agent] = await Promise.all([
    Promise.all(target.identityFiles.map((path) => readIdentity(path, target, ssh2))),
    readAgent(target.agentSocket, ssh2),
  ])
  const fileKeys = files.flatMap((file) => (file?.key ? [{ ...file, key: file.key }] : []))
  const publicOnly = files.flatMap((file) => (file?.publicKey ? [file.publicKey] : []))
  const isOurs = (key: ParsedKey) =>
    [...fileKeys.map(({ key: own }) => own.getPublicSSH()), ...publicOnly].some((own) => own.equals(key.getPublicSSH()))
  const agentKeys = agent.keys.filter((key) => !target.identitiesOnly || isOurs(key))
  const inAgent = (key: ParsedKey) => agentKeys.some((other) => other.getPublicSSH().equals(key.getPublicSSH()))
  const attempts = [
    ...agentKeys.filter(isOurs).map((key) => agentAttempt(target.user, key, agent.agent)),
    ...fileKeys.filter(({ key }) => !inAgent(key)).map(({ path, key }) => fileAttempt(target.user, path, key)),
    ...agentKeys.filter((key) => !isOurs(key)).map((key) => agentAttempt(target.user, key, agent.agent)),
    ...passwordAttempts(target),
  ]
  const unusable = [...files.flatMap((file) => file?.trouble ?? []), ...agent.trouble]
  return { attempts, unusable }
}

interface Identity {
  readonly path: string
  readonly key?: ParsedKey
  readonly publicKey?: Buffer
  readonly trouble?: readonly string[]
}

async function readIdentity(path: string, target: SshTarget, ssh2: Ssh2): Promise<Identity | undefined> {
  const publicKey = await readPublicKey(path, ssh2)
  let text: Buffer
  try {
    text = await readFile(path)
  } catch (error) {
    const missing = systemCode(error) === 'ENOENT'
    // A key may live in the agent only, with its public half beside.
    if (missing) return publicKey ? { path, publicKey } : undefined
    return { path, trouble: [`${path} (${messageOf(error)})`] }
  }
  const parsed = ssh2.utils.parseKey(text, target.passphrase?.reveal())
  const key = Array.isArray(parsed) ? (parsed as ParsedKey[])[0] : parsed
  if (key instanceof Error || !key?.isPrivateKey()) {
    const encrypted = key instanceof Error && isEncrypted(ssh2, text)
    const given = target.passphrase !== undefined
    const why = encrypted ? (given ? 'the passphrase does not open it' : 'needs a passphrase') : 'not a private key'
    return { path, ...(publicKey ? { publicKey } : {}), trouble: [`${path} (${why})`] }
  }
  return { path, key }
}

/** A key that opens with no passphrase is not encrypted; one that a wrong passphrase leaves unreadable is. */
function isEncrypted(ssh2: Ssh2, text: Buffer): boolean {
  const body = text.toString('latin1')
  if (/^(Proc-Type: 4,ENCRYPTED|-----BEGIN ENCRYPTED)/m.test(body)) return true
  return /BEGIN OPENSSH PRIVATE KEY/.test(body) && ssh2.utils.parseKey(text) instanceof Error
}

async function readPublicKey(path: string, ssh2: Ssh2): Promise<Buffer | undefined> {
  const text = await readFile(path.endsWith('.pub') ? path : `${path}.pub`).catch(() => undefined)
  const key = text && ssh2.utils.parseKey(text)
  return key && !(key instanceof Error) && !Array.isArray(key) ? key.getPublicSSH() : undefined
}

interface AgentKeys {
  readonly agent: BaseAgent | undefined
  readonly keys: readonly ParsedKey[]
  readonly trouble: readonly string[]
}

/** A dead agent socket is no reason to fail: it is said if nothing else works either. */
async function readAgent(socket: string | undefined, ssh2: Ssh2): Promise<AgentKeys> {
  if (socket === undefined) return { agent: undefined, keys: [], trouble: [] }
  const agent = ssh2.createAgent(socket)
  try {
    const keys = await new Promise<readonly ParsedKey[]>((resolve, reject) => {
      agent.getIdentities((error, found) => {
        if (error) reject(error)
        else resolve((found ?? []).map((key) => asParsedKey(key, ssh2)).filter((key) => key !== undefined))
      })
    })
    return { agent, keys, trouble: [] }
  } catch (error) {
    return { agent: undefined, keys: [], trouble: [`the agent at ${socket} (${messageOf(error)})`] }
  }
}

function asParsedKey(key: unknown, ssh2: Ssh2): ParsedKey | undefined {
  if (typeof key === 'object' && key !== null && 'getPublicSSH' in key) return key as ParsedKey
  const parsed = ssh2.utils.parseKey(key as Buffer)
  return parsed instanceof Error || Array.isArray(parsed) ? undefined : parsed
}

function fileAttempt(username: string, path: string, key: ParsedKey): LoginAttempt {
  return { label: `key ${path} (${fingerprintOf(key.getPublicSSH())})`, method: { type: 'publickey', username, key } }
}

/** One attempt per key, so that the message can name each. */
function agentAttempt(username: string, key: ParsedKey, agent: BaseAgent | undefined): LoginAttempt {
  const one = {
    getIdentities: (callback: (error: Error | null, keys: ParsedKey[]) => void) => callback(null, [key]),
    sign: (...args: Parameters<BaseAgent['sign']>) => agent?.sign(...args),
  }
  const label = `agent key ${key.comment || key.type} (${fingerprintOf(key.getPublicSSH())})`
  return {
    label,
    method: { type: 'agent', username, agent: Object.assign(Object.create(agentPrototype(agent)) as BaseAgent, one) },
  }
}

/** ssh2 takes for an agent only what inherits from its own class. */
function agentPrototype(agent: BaseAgent | undefined): object | null {
  return agent === undefined ? null : (Object.getPrototypeOf(agent) as object)
}

function passwordAttempts({ user: username, password }: SshTarget): LoginAttempt[] {
  if (!password) return []
  return [
    { label: 'password', method: { type: 'password', username, password: password.reveal() } },
    {
      label: 'password (keyboard-interactive)',
      method: {
        type: 'keyboard-interactive',
        username,
        // One hidden question is the password; anything else (a one-time code) is not ours to guess.
        // eslint-disable-next-line max-params -- the shape is ssh2's
        prompt: (_name, _instructions, _language, prompts, finish) =>
          finish(prompts.length === 1 && prompts[0]?.echo === false ? [password.reveal()] : []),
      },
    },
  ]
}

/** Goes through the attempts that the server still accepts, and remembers what was tried. */
export function createLogin({ attempts, unusable }: LoginPlan, target: SshTarget) {
  const waiting = [...attempts]
  const tried: string[] = []
  let accepted: readonly string[] = []
  return {
    next(methodsLeft: readonly AuthenticationType[] | null): AnyAuthMethod | false {
      // The first question learns what the server accepts.
      if (methodsLeft === null) return { type: 'none', username: target.user }
      accepted = methodsLeft
      for (;;) {
        const attempt = waiting.shift()
        if (!attempt) return false
        const wire = attempt.method.type === 'agent' ? 'publickey' : attempt.method.type
        if (!methodsLeft.includes(wire)) continue
        tried.push(attempt.label)
        return attempt.method
      }
    },
    refused: (cause: unknown): OpsError => loginError(target, { accepted, tried, unusable, cause }),
  }
}

interface LoginFacts {
  readonly accepted: readonly string[]
  readonly tried: readonly string[]
  readonly unusable: readonly string[]
  readonly cause: unknown
}

export function loginError(target: SshTarget, { accepted, tried, unusable, cause }: LoginFacts): OpsError {
  const { name, user, host, port } = target
  const parts = [
    `${user} may not log in to ${name} (${host}:${port})`,
    accepted.length > 0 ? `it accepts ${accepted.join(', ')}` : 'it named no method that it accepts',
    tried.length > 0 ? `tried: ${tried.join(', ')}` : 'there was nothing to try',
    ...(unusable.length > 0 ? [`not usable: ${unusable.join(', ')}`] : []),
  ]
  const login = `ssh -p ${port} ${user}@${host}`
  const hint = unusable.some((text) => text.includes('passphrase'))
    ? 'Give the passphrase as a secret reference (passphrase: { env: NAME }), or add the key to the agent: ssh-add.'
    : `Put a public key into ~${user}/.ssh/authorized_keys there, or name the right key or user; to see more: ${login} -v`
  return new OpsError('NOT_PERMITTED', parts.join('; '), { host: name, hint, cause })
}
