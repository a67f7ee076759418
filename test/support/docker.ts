/**
 * A Docker engine of its own: private socket, data and run directories, no bridge, no firewall rules. Its images are made
 * from busybox on the spot, so no registry is needed. Needs root and the packages docker.io and busybox-static.
 */
import { execFile } from 'node:child_process'
import { copyFile, mkdir, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startServer } from './server.ts'
import { makeTempDir } from './temp.ts'
import { waitFor } from './wait.ts'

const execute = promisify(execFile)

export interface DockerEngine {
  readonly socketPath: string
  readonly pid: number
  /** Runs the docker client against this engine. @returns stdout without the final newline */
  docker(...args: string[]): Promise<string>
  /** Starts a container of the busybox image: `run({ name: 'web', args: ['--memory', '32m'], command: ['sleep', '600'] })`. */
  run(options: RunContainer): Promise<string>
  /** Resolves when the container's state has this text: `State.Health.Status` is `unhealthy`. */
  waitForState(container: string, field: string, value: string, timeoutMs?: number): Promise<void>
  /** Until the engine says so of one that eats its memory; one whose end it took for another is started once more. */
  waitForKillForMemory(container: string): Promise<void>
  stop(): Promise<void>
}

/** Not at once: the engine begins to listen for a kill a moment after the start, and misses what comes before. */
export const EATS_MEMORY = 'sleep 0.5; exec tail /dev/zero'

export interface RunContainer {
  readonly name: string
  /** Flags of `docker run`: labels, health checks, limits, restart policies. */
  readonly args?: readonly string[]
  /** Default: sleep for ten minutes. */
  readonly command?: readonly string[]
  readonly image?: string
}

/** The image that every container gets unless it names another. */
export const BUSYBOX_IMAGE = 'opskit-busybox'

export async function startDocker(): Promise<DockerEngine> {
  const temp = await makeTempDir('docker')
  const dir = temp.path
  const socketPath = join(dir, 'docker.sock')
  const client = async (...args: string[]) =>
    (await execute('docker', ['-H', `unix://${socketPath}`, ...args], { maxBuffer: 16e6 })).stdout.trimEnd()
  const server = await startServer({
    argv: [
      'dockerd',
      ...['--host', `unix://${socketPath}`, '--data-root', join(dir, 'data'), '--exec-root', join(dir, 'exec')],
      ...['--pidfile', join(dir, 'docker.pid'), '--bridge=none', '--iptables=false', '--ip6tables=false'],
    ],
    ready: () => client('version', '--format', '{{.Server.Version}}').then(() => true),
    timeoutMs: 60_000,
  })
  const stop = async () => {
    const ids = await client('ps', '-aq').catch(() => '')
    if (ids !== '') await client('rm', '-f', ...ids.split('\n')).catch(() => undefined)
    await server.stop(15_000)
    await unmountBelow(dir)
    await temp.remove()
  }
  try {
    await importBusybox(dir, client)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    socketPath,
    pid: server.pid,
    docker: client,
    run: ({ name, args = [], command = ['sleep', '600'], image = BUSYBOX_IMAGE }) =>
      client('run', '-d', '--name', name, '--network', 'none', ...args, image, ...command),
    waitForState: async (container, field, value, timeoutMs = 30_000) => {
      await waitFor(
        `${field} of ${container} to be ${value}`,
        async () => (await client('inspect', '--format', `{{.${field}}}`, container)) === value,
        timeoutMs,
      )
    },
    waitForKillForMemory: async (container) => {
      await waitFor(
        `the engine to see that ${container} was killed for memory`,
        async () => {
          const seen = await client('inspect', '--format', '{{.State.Status}} {{.State.OOMKilled}}', container)
          if (seen === 'exited false') await client('start', container)
          return seen === 'exited true'
        },
        30_000,
      )
    },
    stop,
  }
}

async function importBusybox(dir: string, client: (...args: string[]) => Promise<string>): Promise<void> {
  const root = join(dir, 'rootfs')
  await makeBusyboxRoot(root)
  const archive = join(dir, 'rootfs.tar')
  await execute('tar', ['-C', root, '-cf', archive, '.'])
  await client('import', archive, BUSYBOX_IMAGE)
}

/** A root file system of nothing but busybox and what a shell expects around it. */
export async function makeBusyboxRoot(root: string): Promise<void> {
  for (const each of ['bin', 'sbin', 'usr/bin', 'usr/sbin', 'etc', 'tmp', 'root', 'var']) {
    await mkdir(join(root, each), { recursive: true })
  }
  await copyFile('/bin/busybox', join(root, 'bin/busybox'))
  const applets = (await execute(join(root, 'bin/busybox'), ['--list'])).stdout.split('\n').filter(Boolean)
  await Promise.all(
    applets.filter((name) => name !== 'busybox').map((name) => symlink('busybox', join(root, 'bin', name))),
  )
}

/** What a killed engine left mounted. */
async function unmountBelow(dir: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '')
  for (const mount of mounts.filter((each) => each.startsWith(`${dir}/`)).reverse()) {
    await execute('umount', ['-l', mount]).catch(() => undefined)
  }
}
