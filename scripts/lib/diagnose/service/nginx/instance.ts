/**
 * Which nginx is looked at: its program, its running master and workers, its main configuration file and prefix.
 * A master that runs inside a container on this machine is counted and left to the container checks.
 */
import { access, constants, stat } from 'node:fs/promises'
import { basename, delimiter, dirname, join, resolve } from 'node:path/posix'
import type { HostReader } from '../../../host/types.ts'
import { parseProcesses, PROCESS_SCRIPT, readProcesses, kernelName, type ProcessFacts } from '../processes.ts'
import { DEFAULT_CONFIGS, USUAL_CONFIG } from './config-files.ts'

export interface NginxMaster extends ProcessFacts {
  /** `-c` of its command line, made absolute; undefined when it runs on its built-in default. */
  readonly config: string | undefined
  /** `-p` of its command line. */
  readonly prefix: string | undefined
  readonly workers: readonly ProcessFacts[]
}

export interface NginxInstance {
  readonly binary: NginxBinary | undefined
  /** The master that runs the configuration looked at; undefined when none does. */
  readonly master: NginxMaster | undefined
  /** Masters with other configurations. */
  readonly others: readonly NginxMaster[]
  /** Masters inside containers. */
  readonly containedMasters: number
  /** The main configuration file that is, or would be, used. */
  readonly config: string
  /** What relative log and pid names are relative to. */
  readonly prefix: string
  /** True when the look is made as root. */
  readonly asRoot: boolean
  /** Minutes east of UTC of the machine's own time zone; undefined where it is the zone of this program. */
  readonly zoneOffsetMinutes: number | undefined
}

export interface NginxBinary {
  readonly path: string
  /** When the file was put there (ctime: packages keep the time of the build in mtime). */
  readonly changedAtMs: number
}

export interface NginxChoice {
  /** A program name or path. */
  readonly binary: string
  readonly config?: string | undefined
}

/** Programs that are nginx under another name. */
const KNOWN_NAMES = ['nginx', 'openresty', 'angie', 'tengine']

/** Where a server program may be that an unprivileged or non-interactive PATH leaves out. */
const EXTRA_PATH = ['/usr/sbin', '/usr/local/sbin', '/usr/local/nginx/sbin', '/usr/local/openresty/nginx/sbin']

const MACHINE_SCRIPT = `echo "uid $(id -u)"
echo "zone $(date +%z)"
PATH=$PATH:${EXTRA_PATH.join(':')}
program=$(command -v "$NGINX_BINARY") && echo "binary $(stat -Lc %Z "$program") $program"
for file in ${DEFAULT_CONFIGS.join(' ')}; do [ -f "$file" ] && echo "config $file"; done
true
`

interface MachineFacts {
  readonly processes: readonly ProcessFacts[]
  readonly binary: NginxBinary | undefined
  /** Of DEFAULT_CONFIGS, those that exist. */
  readonly configs: readonly string[]
  readonly asRoot: boolean
  readonly zoneOffsetMinutes: number | undefined
}

/** One look at /proc and the file system here; one shell round trip on any other machine. */
export async function readNginxInstance(
  host: HostReader,
  choice: NginxChoice,
  signal?: AbortSignal,
): Promise<NginxInstance> {
  const names = [...new Set([...KNOWN_NAMES, kernelName(basename(choice.binary))])]
  const facts =
    host.kind === 'local' ? await readLocal(choice, names) : await readRemote(host, choice, { names, signal })
  return instanceFrom(facts, choice)
}

/** Sorts the processes found into the master that is meant, its workers, and others. */
export function instanceFrom(facts: MachineFacts, choice: NginxChoice): NginxInstance {
  const masters = facts.processes
    .filter((process) => /^nginx: master process\b/.test(process.command))
    .map((process) => masterFrom(process, facts.processes))
  const own = masters.filter((master) => !master.contained)
  const master = chooseMaster(own, choice.config)
  const config = choice.config ?? master?.config ?? facts.configs[0] ?? USUAL_CONFIG
  return {
    binary: facts.binary,
    master,
    others: own.filter((other) => other !== master),
    containedMasters: masters.length - own.length,
    config,
    prefix: master?.prefix ?? defaultPrefix(config),
    asRoot: facts.asRoot,
    zoneOffsetMinutes: facts.zoneOffsetMinutes,
  }
}

function masterFrom(process: ProcessFacts, all: readonly ProcessFacts[]): NginxMaster {
  const words = process.command.split(' ')
  const option = (flag: string) => {
    const at = words.findIndex((word, index) => index > 2 && word.startsWith(flag))
    return at === -1 ? undefined : words[at]?.slice(flag.length) || words[at + 1]
  }
  const prefix = option('-p')
  const config = option('-c')
  return {
    ...process,
    prefix,
    config: config && resolve(prefix ?? '/', config),
    workers: all.filter((other) => other.parentPid === process.pid && /^nginx: worker process/.test(other.command)),
  }
}

function chooseMaster(masters: readonly NginxMaster[], config: string | undefined): NginxMaster | undefined {
  const byDefault = masters.find((master) => master.config === undefined)
  if (config === undefined) return byDefault ?? masters[0]
  const named = masters.find((master) => master.config === config)
  return named ?? (DEFAULT_CONFIGS.includes(config) ? byDefault : undefined)
}

/** `/usr/local/nginx/conf/nginx.conf` belongs to the prefix `/usr/local/nginx`; the packages' own prefix is /usr/share/nginx. */
function defaultPrefix(config: string): string {
  const directory = dirname(config)
  return basename(directory) === 'conf' ? dirname(directory) : '/usr/share/nginx'
}

async function readLocal(choice: NginxChoice, names: readonly string[]): Promise<MachineFacts> {
  const host = { kind: 'local' } as HostReader
  const [processes, binary, configs] = await Promise.all([
    readProcesses(host, names),
    findProgram(choice.binary),
    Promise.all(DEFAULT_CONFIGS.map(async (path) => ((await isFile(path)) ? [path] : []))),
  ])
  return { processes, binary, configs: configs.flat(), asRoot: process.getuid?.() === 0, zoneOffsetMinutes: undefined }
}

async function findProgram(name: string): Promise<NginxBinary | undefined> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...EXTRA_PATH]
  const candidates = name.includes('/') ? [name] : folders.filter(Boolean).map((folder) => join(folder, name))
  for (const path of candidates) {
    const facts = await access(path, constants.X_OK).then(
      () => stat(path),
      () => undefined,
    )
    if (facts?.isFile()) return { path, changedAtMs: facts.ctimeMs }
  }
  return undefined
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (facts) => facts.isFile(),
    () => false,
  )
}

async function readRemote(
  host: HostReader,
  choice: NginxChoice,
  { names, signal }: { names: readonly string[]; signal: AbortSignal | undefined },
): Promise<MachineFacts> {
  // The program's name goes as an argument that the loop over "$@" of the first script never sees.
  const script = `NGINX_BINARY=$1; shift\n${PROCESS_SCRIPT}${MACHINE_SCRIPT}`
  const argv = ['sh', '-c', script, 'nginx', choice.binary, ...names] as const
  const { stdout } = await host.read(argv, signal ? { signal } : {})
  return parseMachine(stdout)
}

/** What both scripts printed. */
export function parseMachine(output: string): MachineFacts {
  const values = (key: string) =>
    [...output.matchAll(new RegExp(`^${key} (.*)$`, 'gm'))].map((match) => match[1] as string)
  const binary = /^(\d+) (.+)$/.exec(values('binary')[0] ?? '')
  const zone = /^([+-])(\d\d)(\d\d)$/.exec(values('zone')[0] ?? '')
  const minutes = zone ? (Number(zone[2]) * 60 + Number(zone[3])) * (zone[1] === '-' ? -1 : 1) : 0
  return {
    processes: parseProcesses(output),
    binary: binary ? { path: binary[2] as string, changedAtMs: Number(binary[1]) * 1000 } : undefined,
    configs: values('config'),
    asRoot: values('uid')[0] === '0',
    zoneOffsetMinutes: minutes,
  }
}
