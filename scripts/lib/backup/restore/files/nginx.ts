/**
 * After a restore of nginx's configuration: tested, reloaded, and proved to be the one that serves. `nginx -t` and
 * `nginx -s reload` both end with 0 while the old workers go on (a port that is taken, say); new workers and a live
 * request do not lie.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { ConfigSource } from '../../../config/types.ts'
import { messageOf, OpsError } from '../../../core/errors.ts'
import { printableLine } from '../../../core/printable.ts'
import type { Argv } from '../../../core/quote.ts'
import type { Host, HostReader } from '../../../host/types.ts'
import type { Follower } from './restore.ts'

type Settings = NonNullable<ConfigSource['nginx']>

/** New workers answer about 80 ms after a reload; a busy machine takes longer. */
const GENERATION_MS = 10_000
const POLL_MS = 100
const REQUEST_MS = 5_000

export function nginxFollower({ binary, config, url }: Settings, say: (message: string) => void): Follower {
  const reload = async (host: Host, signal: AbortSignal) => {
    const master = await findMaster(host, config)
    if (master === undefined) return false
    await proveReload(host, master, signal)
    return true
  }
  return {
    title: `Test nginx, reload it, and see that new workers serve${url === undefined ? '' : ` ${url}`}`,
    async apply(host, signal) {
      const end = await host.run([binary, '-t', ...(config === undefined ? [] : ['-c', config])], {
        okCodes: 'any',
        signal,
      })
      if (end.exitCode !== 0) {
        throw new OpsError('FAILED', `nginx refuses the restored configuration: ${lastLine(end.stderr)}`, {
          host: host.name,
        })
      }
      if (!(await reload(host, signal))) {
        const because = `nginx does not run on ${host.name}: the restored configuration was tested, and nothing serves it yet`
        say(because)
        return because
      }
      if (url === undefined) return 'new workers of nginx serve the restored configuration'
      const status = await request(host, url, signal)
      return `new workers of nginx serve the restored configuration, and ${url} answers with ${status}`
    },
    async revert(host, signal) {
      await reload(host, signal)
    },
  }
}

interface NginxProcess {
  readonly pid: number
  readonly parent: number
  readonly title: string
}

/** Titles are what nginx makes of its own argument list. Those of containers are seen from outside, and are not ours. */
const PROCESSES = `o=$(readlink /proc/self/ns/pid)
for d in /proc/[0-9]*; do
c=$(tr '\\0' ' ' < "$d/cmdline" 2>/dev/null) || continue
case $c in "nginx: "*) n=$(readlink "$d/ns/pid") || n=$o
[ "$n" = "$o" ] && read -r s < "$d/stat" && set -- $s && printf '%s %s %s\\n' "$1" "$4" "$c";; esac
done 2>/dev/null; :`

async function readProcesses(host: HostReader): Promise<NginxProcess[]> {
  const { stdout } = await host.read(['sh', '-c', PROCESSES])
  return stdout.split('\n').flatMap((line) => {
    const match = /^(\d+) (\d+) (.*)$/.exec(line.trim())
    return match ? [{ pid: Number(match[1]), parent: Number(match[2]), title: match[3] ?? '' }] : []
  })
}

/** The master that runs this configuration file; without one, the only master that was started without. */
async function findMaster(host: HostReader, config: string | undefined): Promise<number | undefined> {
  const masters = (await readProcesses(host)).filter(({ title }) => title.startsWith('nginx: master process'))
  const own = masters.filter(({ title }) =>
    config === undefined
      ? !/ -c /.test(title)
      : title.includes(`-c ${config}`) || (config === '/etc/nginx/nginx.conf' && !/ -c /.test(title)),
  )
  if (own.length > 1) {
    throw new OpsError(
      'FAILED',
      `${own.length} nginx masters run on ${host.name}: which one reads the configuration is not clear`,
      {
        host: host.name,
        hint: 'Set nginx.config of this source to the file that the right one was started with.',
      },
    )
  }
  return own[0]?.pid
}

async function proveReload(host: Host, master: number, signal: AbortSignal): Promise<void> {
  const isWorker = ({ parent, title }: NginxProcess) => parent === master && title === 'nginx: worker process'
  const before = new Set((await readProcesses(host)).filter(isWorker).map(({ pid }) => pid))
  await host.run(['kill', '-HUP', String(master)] as Argv, { signal })
  const deadline = performance.now() + GENERATION_MS
  for (;;) {
    const workers = (await readProcesses(host)).filter(isWorker)
    if (workers.length > 0 && workers.every(({ pid }) => !before.has(pid))) return
    if (performance.now() > deadline) break
    await delay(POLL_MS, undefined, { signal })
  }
  throw new OpsError(
    'FAILED',
    `nginx on ${host.name} was told to reload, and its old workers still serve the old configuration`,
    {
      host: host.name,
      hint: 'Its error log says why: often a port that another program holds.',
    },
  )
}

async function request(host: Host, url: string, signal: AbortSignal): Promise<number> {
  try {
    const status = host.kind === 'local' ? await requestHere(url, signal) : await requestThere(host, url, signal)
    if (status >= 500) throw new OpsError('FAILED', `it answers with status ${status}`)
    return status
  } catch (error) {
    signal.throwIfAborted()
    throw new OpsError(
      'FAILED',
      `nginx runs with the restored configuration, and ${url} does not work: ${messageOf(error)}`,
      {
        host: host.name,
        cause: error,
      },
    )
  }
}

async function requestHere(url: string, signal: AbortSignal): Promise<number> {
  const response = await fetch(url, {
    redirect: 'manual',
    signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS)]),
  })
  await response.body?.cancel()
  return response.status
}

async function requestThere(host: Host, url: string, signal: AbortSignal): Promise<number> {
  const argv: Argv = [
    'curl',
    '-sS',
    '-k',
    '-o',
    '/dev/null',
    '-w',
    '%{http_code}',
    '--max-time',
    String(REQUEST_MS / 1000),
    url,
  ]
  const { stdout } = await host.run(argv, { signal })
  return Number(stdout)
}

function lastLine(stderr: string): string {
  const lines = stderr.trimEnd().split('\n')
  return printableLine(lines.find((line) => line.includes('[emerg]')) ?? lines.at(-1) ?? 'it says nothing', 300)
}
