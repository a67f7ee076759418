/**
 * A real sshd on loopback with host keys, known_hosts and authorized_keys of its own; ssh-agent; an ssh_config file.
 * Needs root and the packages openssh-server and openssh-client.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from './ports.ts'
import { startServer, type ServerProcess } from './server.ts'
import { makeTempDir } from './temp.ts'

const execute = promisify(execFile)

export type KeyType = 'ed25519' | 'ecdsa' | 'rsa'

export interface SshdOptions {
  /** Default: ed25519 only. */
  readonly hostKeys?: readonly KeyType[]
  /** Lines for sshd_config, after ours: `MaxSessions 2`. The first value of a keyword counts, so ours win. */
  readonly config?: readonly string[]
  /** Lines in place of our defaults, for what must come first. */
  readonly first?: readonly string[]
}

export interface Sshd {
  readonly port: number
  readonly dir: string
  /** A private key that root and every other user may log in with. */
  readonly identityFile: string
  /** Lists this server's keys as `[127.0.0.1]:port`. */
  readonly knownHosts: string
  readonly server: ServerProcess
  /** `host`, `port`, `user`, `identityFile`, `knownHosts`, `agent: false` for openSshHost. */
  readonly settings: {
    readonly host: string
    readonly port: number
    readonly user: string
    readonly identityFile: string
    readonly knownHosts: string
    readonly agent: false
  }
  /** The public host keys, as in known_hosts: `ssh-ed25519 AAAA…`. */
  publicKeys(): Promise<string[]>
  /** Lets another key log in. */
  authorize(publicKeyFile: string): Promise<void>
  /** How often the log says that somebody logged in. */
  logins(): number
  /** To every sshd process that serves a connection: the one that stays root, and the user's below it. */
  signalWorkers(name: NodeJS.Signals): Promise<void>
  stop(): Promise<void>
}

/** `ssh-keygen`: a key pair at `path` and `path.pub`. */
export async function makeKey(path: string, type: KeyType = 'ed25519', passphrase = ''): Promise<void> {
  const bits = type === 'rsa' ? ['-b', '2048'] : []
  await execute('ssh-keygen', ['-q', '-t', type, ...bits, '-N', passphrase, '-C', `test-${type}`, '-f', path])
}

export async function startSshd({ hostKeys = ['ed25519'], config = [], first = [] }: SshdOptions = {}): Promise<Sshd> {
  const temp = await makeTempDir('sshd')
  const dir = temp.path
  // sshd refuses key files below a directory that others may write; mkdtemp's 0700 hides them from other users.
  await chmod(dir, 0o755)
  await mkdir('/run/sshd', { recursive: true, mode: 0o755 })
  const port = await freePort()
  const keyFiles = hostKeys.map((type) => join(dir, `host_${type}`))
  await Promise.all([
    ...hostKeys.map((type) => makeKey(join(dir, `host_${type}`), type)),
    makeKey(join(dir, 'identity')),
  ])
  const authorized = join(dir, 'authorized_keys')
  await writeFile(authorized, await readFile(join(dir, 'identity.pub')), { mode: 0o644 })
  const publicKeys = async () =>
    (await Promise.all(keyFiles.map((file) => readFile(`${file}.pub`, 'utf8')))).map((text) =>
      text.split(' ').slice(0, 2).join(' '),
    )
  const knownHosts = join(dir, 'known_hosts')
  await writeFile(knownHosts, (await publicKeys()).map((key) => `[127.0.0.1]:${port} ${key}\n`).join(''))
  const configFile = join(dir, 'sshd_config')
  await writeFile(configFile, [...first, ...ownConfig({ dir, port, keyFiles }), ...config, ''].join('\n'))

  const server = await startServer({
    argv: ['/usr/sbin/sshd', '-D', '-e', '-f', configFile],
    ready: () => answers(port),
  })
  return {
    port,
    dir,
    identityFile: join(dir, 'identity'),
    knownHosts,
    server,
    settings: { host: '127.0.0.1', port, user: 'root', identityFile: join(dir, 'identity'), knownHosts, agent: false },
    publicKeys,
    authorize: async (file) => appendFile(authorized, await readFile(file)),
    logins: () => server.output().match(/^Accepted (publickey|password|keyboard)/gm)?.length ?? 0,
    async signalWorkers(name) {
      for (const pid of await workersOf(server.pid)) signal(pid, name)
    },
    async stop() {
      for (const pid of await workersOf(server.pid)) signal(pid, 'SIGKILL')
      await server.stop()
      await temp.remove()
    },
  }
}

function ownConfig({ dir, port, keyFiles }: { dir: string; port: number; keyFiles: readonly string[] }): string[] {
  return [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    ...keyFiles.map((file) => `HostKey ${file}`),
    `AuthorizedKeysFile ${dir}/authorized_keys`,
    `PidFile ${dir}/pid`,
    'PermitRootLogin yes',
    'StrictModes no',
    'UsePAM no',
    'MaxStartups 100',
    'LogLevel VERBOSE',
  ]
}

/** True when something answers with an SSH greeting. */
async function answers(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' })
  try {
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    return chunk.toString().startsWith('SSH-2.0-')
  } finally {
    socket.destroy()
  }
}

async function workersOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  const workers: number[] = []
  for (const child of text.trim().split(' ').filter(Boolean).map(Number)) {
    const name = await readFile(`/proc/${child}/comm`, 'utf8').catch(() => '')
    if (name.startsWith('sshd')) workers.push(child, ...(await workersOf(child)))
  }
  return workers
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // Gone already.
  }
}

export interface Agent {
  readonly socket: string
  add(keyFile: string): Promise<void>
  stop(): Promise<void>
}

/** An ssh-agent with nothing in it. */
export async function startAgent(): Promise<Agent> {
  const temp = await makeTempDir('agent')
  const socket = join(temp.path, 'agent.sock')
  const child = spawn('ssh-agent', ['-D', '-a', socket], { stdio: ['ignore', 'pipe', 'ignore'] })
  await once(child.stdout, 'data')
  return {
    socket,
    add: async (keyFile) =>
      void (await execute('ssh-add', ['-q', keyFile], { env: { ...process.env, SSH_AUTH_SOCK: socket } })),
    async stop() {
      const ended = once(child, 'exit')
      child.kill()
      await ended
      await temp.remove()
    },
  }
}
