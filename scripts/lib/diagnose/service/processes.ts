/**
 * Which processes of certain names run on a machine, from /proc (proc(5)): no child process on this machine, one shell
 * round trip on any other. What a process means to a service is for the callers to decide.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { HostReader } from '../../host/types.ts'

export interface ProcessFacts {
  readonly pid: number
  readonly parentPid: number
  /** The kernel's name of it: the program's base name, cut at 15 characters. */
  readonly name: string
  /** Its title or arguments, joined by spaces; empty when they cannot be read. */
  readonly command: string
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number
  /** True in a PID namespace below the one that is looked from: a container's process. */
  readonly contained: boolean
}

/** USER_HZ, in which /proc/PID/stat counts; 100 on every Linux that Node runs on. */
const MS_PER_TICK = 10
const NAME_LENGTH = 15

/**
 * Prints `boot SECONDS`, then for each process named in "$@" three lines: `process STAT`, `nspid PIDS`, `command TEXT`.
 * Only shell built-ins run per process, so a thousand processes cost no thousand forks.
 */
export const PROCESS_SCRIPT = `exec 2>/dev/null
while read -r key value; do [ "$key" = btime ] && echo "boot $value"; done </proc/stat
for dir in /proc/[0-9]*; do
  read -r comm <"$dir/comm" || continue
  for name do
    [ "$comm" = "$name" ] || continue
    read -r stat <"$dir/stat" || continue
    echo "process $stat"
    while read -r key value; do [ "$key" = NSpid: ] && echo "nspid $value"; done <"$dir/status"
    echo "command $(tr '\\000\\n' '  ' <"$dir/cmdline")"
  done
done
`

/**
 * @param names kernel names; longer ones are cut as the kernel cuts them
 * @returns in order of pid; empty when none runs
 */
export async function readProcesses(
  host: HostReader,
  names: readonly string[],
  signal?: AbortSignal,
): Promise<ProcessFacts[]> {
  const wanted = [...new Set(names.map(kernelName))]
  if (host.kind === 'local') return readLocal(wanted)
  const options = signal ? { signal } : {}
  const { stdout } = await host.read(['sh', '-c', PROCESS_SCRIPT, 'processes', ...wanted], options)
  return parseProcesses(stdout)
}

/** The name the kernel gives to a program: at most 15 bytes (TASK_COMM_LEN). */
export function kernelName(program: string): string {
  return program.slice(0, NAME_LENGTH)
}

/** What PROCESS_SCRIPT printed; lines it does not know are left alone. */
export function parseProcesses(output: string): ProcessFacts[] {
  let bootMs = 0
  const found: ProcessFacts[] = []
  let current: { stat: string; nspid: string } | undefined
  for (const line of output.split('\n')) {
    const [key = '', rest = ''] = splitOnce(line)
    if (key === 'boot') bootMs = Number(rest) * 1000
    else if (key === 'process') current = { stat: rest, nspid: '' }
    else if (key === 'nspid' && current) current.nspid = rest
    else if (key === 'command' && current) {
      const facts = processFrom({ ...current, command: rest, bootMs })
      if (facts) found.push(facts)
      current = undefined
    }
  }
  return found.sort((a, b) => a.pid - b.pid)
}

// The names are read synchronously: /proc/PID/comm never blocks, and a promise for each of a thousand processes costs more
// than the reading. The command line can block on a hung process, so it is read without holding up the program.
async function readLocal(names: readonly string[]): Promise<ProcessFacts[]> {
  const boot = /^btime (\d+)$/m.exec(await readFile('/proc/stat', 'utf8'))
  const bootMs = Number(boot?.[1] ?? Number.NaN) * 1000
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))
  const matching = pids.filter((pid) => names.includes(nameOf(pid)))
  const found = await Promise.all(matching.map((pid) => readOne(pid, bootMs)))
  return found.filter((facts) => facts !== undefined).sort((a, b) => a.pid - b.pid)
}

function nameOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd()
  } catch {
    return '' // It ended while we looked.
  }
}

async function readOne(pid: string, bootMs: number): Promise<ProcessFacts | undefined> {
  const file = (name: string) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')
  const [stat, status, command] = await Promise.all([file('stat'), file('status'), file('cmdline')])
  const nspid = /^NSpid:\s*(.*)$/m.exec(status)?.[1] ?? ''
  return processFrom({ stat: stat.trimEnd(), nspid, command: command.replace(/[\0\n]/g, ' '), bootMs })
}

function processFrom(raw: { stat: string; nspid: string; command: string; bootMs: number }): ProcessFacts | undefined {
  const nameEnd = raw.stat.lastIndexOf(')') // The name itself may hold parentheses and spaces.
  const nameStart = raw.stat.indexOf('(')
  if (nameStart === -1 || nameEnd < nameStart) return undefined
  const fields = raw.stat.slice(nameEnd + 2).split(' ') // From field 3, the state, on.
  return {
    pid: Number(raw.stat.slice(0, nameStart)),
    parentPid: Number(fields[1]),
    name: raw.stat.slice(nameStart + 1, nameEnd),
    command: raw.command.trim(),
    startedAtMs: raw.bootMs + Number(fields[19]) * MS_PER_TICK,
    contained: raw.nspid.trim().split(/\s+/).length > 1,
  }
}

function splitOnce(line: string): [string, string] {
  const space = line.indexOf(' ')
  return space === -1 ? [line, ''] : [line.slice(0, space), line.slice(space + 1)]
}
