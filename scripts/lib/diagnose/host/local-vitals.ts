/**
 * Reads the vital signs of this machine with no child process.
 *
 * /proc is read synchronously: it answers from memory, and a hop to the thread pool costs more than the answer. Only
 * statfs goes to the pool, since a disk may be slow; file systems that may never answer are not asked here (distant.ts),
 * because a thread that hangs in the kernel would keep the program from ending.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import type { Clock } from '../../core/clock.ts'
import { MANY_OPEN_FILES, MAX_OPEN_FILES_PROCESSES } from './limits.ts'
import { chooseMounts, isDistant, parseMounts, type Mount } from './mounts.ts'
import { parseStatRecords } from './processes.ts'
import { CPUINFO, CPUINFO_BYTES, MARKERS, ONCE, SAMPLED, type VitalTexts } from './sources.ts'

const MAX_WAITS = 20
/** A window of which opskit itself used more than this share says little of the rest: a second one is taken. */
const MAX_OWN_SHARE = 0.75

/** The beginning of a window. Taken before the rest of the program is loaded, it hides the loading in the window. */
export interface FirstSample {
  readonly texts: ReadonlyMap<string, string>
  /** Monotonic milliseconds. */
  readonly at: number
  /** What this process had used by then. */
  readonly cpu: NodeJS.CpuUsage
}

export function takeFirstSample(clock: Clock): FirstSample {
  const texts = new Map<string, string>()
  keep(texts, 'before processes', readProcesses())
  for (const path of SAMPLED) keep(texts, `before ${path}`, readOrNone(path))
  return { texts, at: clock.monotonic(), cpu: process.cpuUsage() }
}

export interface LocalWindow {
  readonly clock: Clock
  /** At least this long between the two samples. */
  readonly windowMs: number
  readonly signal: AbortSignal
  /** Default: taken now. */
  readonly first?: FirstSample | undefined
}

/** @throws the signal's reason */
export async function readLocalVitals({ clock, windowMs, signal, ...given }: LocalWindow): Promise<VitalTexts> {
  let started = given.first ?? takeFirstSample(clock)
  const once = new Map<string, string>()
  const untilEnd = () => clock.sleep(Math.max(0, started.at + windowMs - clock.monotonic()), signal)
  const waiting = untilEnd()
  const spaces = readOnce(once)
  await waiting
  if (ownShare(started, clock) > MAX_OWN_SHARE) {
    started = takeFirstSample(clock)
    await untilEnd()
  }
  const texts = new Map([...started.texts, ...once])
  const used = process.cpuUsage(started.cpu)
  for (const path of SAMPLED) keep(texts, `after ${path}`, readOrNone(path))
  const measuredMs = clock.monotonic() - started.at
  const processes = readProcesses()
  keep(texts, 'after processes', processes)
  readSuspects(texts, processes)
  keep(texts, 'space', await spaces)
  return { texts, windowMs: measuredMs, own: { pid: process.pid, cpuMs: (used.user + used.system) / 1000 } }
}

function ownShare(first: FirstSample, clock: Clock): number {
  const { user, system } = process.cpuUsage(first.cpu)
  return (user + system) / 1000 / ((clock.monotonic() - first.at) * availableParallelism())
}

/** Everything that is read once; @returns the text of `space`, which comes later */
function readOnce(texts: Map<string, string>): Promise<string> {
  for (const path of ONCE) keep(texts, path, readOrNone(path))
  keep(texts, CPUINFO, readHead(CPUINFO, Buffer.alloc(CPUINFO_BYTES)))
  keep(texts, 'present', MARKERS.filter((path) => existsSync(path)).join('\n'))
  keep(
    texts,
    'disks',
    listOrNone('/sys/block')
      .filter((name) => existsSync(`/sys/block/${name}/device`))
      .join('\n'),
  )
  const modules = listOrNone('/lib/modules')
  keep(texts, 'modules', modules.join('\n'))
  const images = listOrNone('/boot').flatMap((name) => /^vmlinuz-(.+)$/.exec(name)?.[1] ?? [])
  keep(
    texts,
    'kernels',
    [...images, ...modules.filter((name) => existsSync(`/lib/modules/${name}/vmlinuz`))].join('\n'),
  )
  return readSpace(chooseMounts(parseMounts(texts.get('/proc/self/mountinfo') ?? '')))
}

async function readSpace(mounts: readonly Mount[]): Promise<string> {
  const lines = await Promise.all(
    mounts
      .filter((mount) => !isDistant(mount))
      .map(async ({ path, escapedPath }) => {
        try {
          const { bsize, blocks, bfree, bavail, files, ffree } = await statfs(path)
          return [escapedPath, bsize, blocks, bfree, bavail, files, ffree].join(' ')
        } catch {
          return ''
        }
      }),
  )
  return lines.join('\n')
}

/** What is only looked at where something is unusual: where blocked processes wait, who has many files open. */
function readSuspects(texts: Map<string, string>, processes: string): void {
  const records = parseStatRecords(processes)
  for (const { pid } of records.filter(({ state }) => state === 'D').slice(0, MAX_WAITS)) {
    keep(texts, `waits ${pid}`, readOrNone(`/proc/${pid}/wchan`))
  }
  const many = records
    .map(({ pid }) => ({ pid, open: countOpenFiles(pid) }))
    .filter(({ open }) => open >= MANY_OPEN_FILES)
    .slice(0, MAX_OPEN_FILES_PROCESSES)
  keep(texts, 'files', many.map(({ pid, open }) => `${pid} ${open}`).join('\n'))
  for (const { pid } of many) keep(texts, `limits ${pid}`, readOrNone(`/proc/${pid}/limits`))
}

/** From kernel 6.2 on the size of /proc/PID/fd is their number; before that they are counted. */
function countOpenFiles(pid: number): number {
  try {
    const { size } = statSync(`/proc/${pid}/fd`)
    return size > 0 ? size : readdirSync(`/proc/${pid}/fd`).length
  } catch {
    return 0
  }
}

function readProcesses(): string {
  const buffer = Buffer.alloc(2048)
  return listOrNone('/proc')
    .filter((name) => /^\d/.test(name))
    .map((pid) => readHead(`/proc/${pid}/stat`, buffer) ?? '')
    .join('')
}

/** One read of a file into `buffer`: for /proc files that fit, the cheapest way there is. */
function readHead(path: string, buffer: Buffer): string | undefined {
  try {
    const fd = openSync(path, 'r')
    try {
      return buffer.toString('utf8', 0, readSync(fd, buffer))
    } finally {
      closeSync(fd)
    }
  } catch {
    return undefined
  }
}

function readOrNone(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function listOrNone(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

function keep(texts: Map<string, string>, name: string, text: string | undefined): void {
  if (text !== undefined) texts.set(name, text)
}
