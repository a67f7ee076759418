/**
 * Network namespaces with a link to this machine, and programs run inside them. Needs root and iproute2; dropping packets
 * needs nftables. Names carry our pid, so runs side by side do not meet.
 */
import { execFile, spawn } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export interface Namespace {
  readonly name: string
  /** Runs a program inside; rejects when it fails. */
  run(program: string, ...args: string[]): Promise<string>
  /** Runs a program inside and tells how it ended, whatever the status. */
  measure(argv: readonly [string, ...string[]], timeoutMs: number): Promise<Ended>
  remove(): Promise<void>
}

export interface Ended {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
  readonly durationMs: number
}

let made = 0

export interface NamespaceOptions {
  /** Name servers of /etc/resolv.conf inside; `ip netns exec` lays /etc/netns/NAME over /etc. */
  readonly resolvers?: readonly string[]
}

/** An empty namespace with loopback up. */
export async function makeNamespace({ resolvers = [] }: NamespaceOptions = {}): Promise<Namespace> {
  const name = `opskit-${process.pid}-${++made}`
  const etc = `/etc/netns/${name}`
  await mkdir(etc, { recursive: true })
  await writeFile(`${etc}/resolv.conf`, resolvers.map((address) => `nameserver ${address}\n`).join(''))
  await execute('ip', ['netns', 'add', name])
  const enter = ['netns', 'exec', name]
  const run = async (program: string, ...args: string[]) =>
    (await execute('ip', [...enter, program, ...args], { timeout: 20_000 })).stdout
  await run('ip', 'link', 'set', 'lo', 'up')
  return {
    name,
    run,
    measure: (argv, timeoutMs) => measure(['ip', ...enter, ...argv], timeoutMs),
    remove: async () => {
      await execute('ip', ['netns', 'delete', name])
      await rm(etc, { recursive: true, force: true })
    },
  }
}

/**
 * A namespace whose default route leads into nothing: packets leave, nobody answers, nobody says so.
 * The gateway 192.0.2.1 has a link-layer address, so not even ARP fails.
 */
export async function makeBlackHole(options?: NamespaceOptions): Promise<Namespace> {
  const ns = await makeNamespace(options)
  await ns.run('ip', 'link', 'add', 'hole0', 'type', 'veth', 'peer', 'name', 'hole1')
  await ns.run('ip', 'addr', 'add', '192.0.2.2/24', 'dev', 'hole0')
  await ns.run('ip', 'link', 'set', 'hole0', 'up')
  await ns.run('ip', 'link', 'set', 'hole1', 'up')
  await ns.run('ip', 'neigh', 'add', '192.0.2.1', 'lladdr', '02:00:00:00:00:01', 'dev', 'hole0', 'nud', 'permanent')
  await ns.run('ip', 'route', 'add', 'default', 'via', '192.0.2.1')
  return ns
}

function measure([program, ...args]: readonly [string, ...string[]], timeoutMs: number): Promise<Ended> {
  const startedAt = performance.now()
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs, killSignal: 'SIGKILL' })
    const [out, err]: [Buffer[], Buffer[]] = [[], []]
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.on('error', reject)
    child.on('close', (exitCode) =>
      resolve({
        exitCode,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
        durationMs: performance.now() - startedAt,
      }),
    )
  })
}
