/** Runs a runbook that ships as an operator would, in a state directory and with an opskit.yaml of its own. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createServer } from 'node:net'
import { NODE, ROOT, runProgram, type Ran } from '../support/opskit.ts'
import type { Namespace } from '../support/netns.ts'
import type { Sshd } from '../support/sshd.ts'
import { makeTempDir } from '../support/temp.ts'

export interface Bench {
  readonly path: string
  /** `start ID`, answered beforehand: what is not named is done by the book. */
  start(id: string, options: StartOptions): Promise<Incident>
  /** `resume` of the one that is open, with the answers it was started with. */
  resume(): Promise<Incident>
  /** Any subcommand. */
  command(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ran>
  remove(): Promise<void>
}

export interface StartOptions {
  readonly params?: Readonly<Record<string, string | number>>
  readonly answers?: Readonly<Record<string, unknown>>
  readonly env?: Readonly<Record<string, string>>
  readonly flags?: readonly string[]
  readonly timeoutMs?: number
  /** Runs the page with this patience in place of its own: for what is never going to answer. */
  readonly within?: string
}

export interface Incident extends Ran {
  /** What was printed, and the journals of all incidents of this bench: what each step has seen. */
  readonly said: string
}

/** What a human says to every item that asks for no more. */
const BY_THE_BOOK = { '*': { evidence: 'seen in the test' } }

interface BenchOptions {
  /** Where opskit itself runs; default: here. */
  readonly inside?: Namespace
  /** The diagnosis asks nobody but this machine. */
  readonly diagnose?: Readonly<Record<string, unknown>>
  /** Other sections of opskit.yaml. */
  readonly [section: string]: unknown
}

/** @param config sections of opskit.yaml beside `version` and `state` */
export async function makeBench({ inside, diagnose, ...config }: BenchOptions = {}): Promise<Bench> {
  const dir = await makeTempDir('runbook')
  const file = join(dir.path, 'opskit.yaml')
  const hasty = join(dir.path, 'hasty')
  await mkdir(hasty)
  const settings = {
    ...{ version: 1, name: 'control', state: { dir: join(dir.path, 'state') } },
    diagnose: { network: { targets: [{ host: '127.0.0.1' }] }, ...diagnose },
    ...config,
  }
  await writeFile(file, JSON.stringify(settings))
  let started = 0
  const enter = (...args: string[]): readonly [string, ...string[]] =>
    inside ? ['ip', 'netns', 'exec', inside.name, NODE, ...args] : [NODE, ...args]
  const command = (args: readonly string[], env: Readonly<Record<string, string>> = {}, timeoutMs = 60_000) =>
    runProgram(enter(`${ROOT}scripts/runbook.ts`, ...args, '--config', file), {
      env: { OPSKIT_USER: 'ana', ...env },
      cwd: dir.path,
      timeoutMs,
    })
  const withJournals = async (ran: Ran): Promise<Incident> => ({
    ...ran,
    said: `${ran.stdout}\n${ran.stderr}\n${await readJournals(join(dir.path, 'state'))}`,
  })
  return {
    path: dir.path,
    resume: async () =>
      withJournals(await command(['resume', '--answers', join(dir.path, `answers-${started}.yaml`), '--yes'])),
    command: (args, env) => command(args, env),
    remove: () => dir.remove(),
    async start(id, { params = {}, answers = {}, env, flags = [], timeoutMs, within }) {
      const answersFile = join(dir.path, `answers-${++started}.yaml`)
      await writeFile(answersFile, JSON.stringify({ ...BY_THE_BOOK, ...answers }))
      const given = Object.entries(params).flatMap(([name, value]) => ['--param', `${name}=${value}`])
      const ran = await command(
        [
          'start',
          within === undefined ? id : await shorten(id, within, hasty),
          ...given,
          '--answers',
          answersFile,
          '--yes',
          '--again',
          ...flags,
        ],
        env,
        timeoutMs,
      )
      return withJournals(ran)
    },
  }
}

async function readJournals(state: string): Promise<string> {
  const names = await readdir(join(state, 'incidents')).catch(() => [])
  const texts = names
    .filter((name) => name.endsWith('.jsonl'))
    .map((name) => readFile(join(state, 'incidents', name), 'utf8'))
  return (await Promise.all(texts)).join('')
}

async function shorten(id: string, within: string, dir: string): Promise<string> {
  const text = await readFile(join(ROOT, 'runbooks', `${id}.md`), 'utf8')
  const file = join(dir, `${id}.md`)
  await writeFile(file, text.replaceAll(/^( *within:) \S+$/gm, `$1 ${within}`).replaceAll(/\]\([a-z-]+\.md\)/g, ']()'))
  return file
}

/** A second host for opskit.yaml, reached over SSH. */
export function sshHost({ settings }: Sshd): Readonly<Record<string, unknown>> {
  const { host, port, user, identityFile, knownHosts } = settings
  return { ssh: { host, port, user, identity_file: identityFile, known_hosts: knownHosts, agent: false } }
}

/** A port that listens until it is closed: what is asked is whether it can be reached. */
export async function startListener(address = '127.0.0.1'): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createServer((socket) => socket.on('error', () => undefined).end())
  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  const at = server.address()
  if (at === null || typeof at === 'string') throw new Error('no port')
  return { port: at.port, close: () => new Promise((resolve) => server.close(() => resolve())) }
}
