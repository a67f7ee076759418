/**
 * Reads the records of this machine: files and /dev/kmsg in place, programs only where their service runs.
 */
import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import { isOpsError, systemCode } from '../../core/errors.ts'
import type { HostReader } from '../../host/types.ts'
import type { Argv } from '../../core/quote.ts'
import { ERROR_WORDS, LOG_TAIL_BYTES } from './logs.ts'
import {
  CHRONYC,
  CHRONYD,
  JOURNALCTL,
  LOG_FILES,
  NTPD,
  NTPQ,
  RECORD_FILES,
  RECORD_MARKERS,
  SYSTEMCTL,
  SYSTEMD,
  TIMEDATECTL,
  TIMESYNCD,
} from './record-sources.ts'

export interface ToolOptions {
  readonly signal: AbortSignal
  /** For each program that is asked. */
  readonly timeoutMs: number
}

/** Larger than any record (the kernel's limit is 8 KiB with its head). */
const KMSG_RECORD_BYTES = 16_384
/** Bounds the walk through the kernel's ring, which is 256 KiB to some MiB. */
const KMSG_MAX_RECORDS = 20_000
const COMMA = 0x2c
const DIGIT_3 = 0x33
/** journalctl's words when there is no journal, or not all of it may be read. */
const INCOMPLETE = /No journal files|Hint: /
const MAYBE_ERROR = new RegExp(ERROR_WORDS, 'i')

/** @returns the texts of records.ts */
export async function readLocalRecords(host: HostReader, options: ToolOptions): Promise<Map<string, string>> {
  const texts = new Map<string, string>()
  for (const path of RECORD_FILES) keep(texts, path, readOrNone(path))
  const present = RECORD_MARKERS.filter((path) => existsSync(path))
  texts.set('present', present.join('\n'))
  texts.set('zone', formatZone(-new Date().getTimezoneOffset()))
  const systemd = present.includes(SYSTEMD)
  const asked = Promise.all([
    systemd ? askSystemd(host, options, texts) : undefined,
    askClock(host, options, { texts, systemd }),
  ])
  keep(texts, 'kmsg', readKernelLog())
  await asked
  const complete = texts.has('late journal') || (texts.has('journal') && !INCOMPLETE.test(texts.get('journal') ?? ''))
  if (!complete) readLogFile(texts)
  return texts
}

async function askSystemd(host: HostReader, options: ToolOptions, texts: Map<string, string>): Promise<void> {
  const [units, journal] = await Promise.all([ask(host, SYSTEMCTL, options), ask(host, JOURNALCTL, options)])
  if (typeof units === 'object') texts.set(`units ${units.exitCode}`, units.stdout)
  const answer = typeof journal === 'object' ? journal.stdout + journal.stderr : ''
  if (typeof journal === 'object' && (journal.exitCode === 0 || INCOMPLETE.test(answer))) texts.set('journal', answer)
  if (journal === 'late') texts.set('late journal', '')
}

async function askClock(
  host: HostReader,
  options: ToolOptions,
  { texts, systemd }: { texts: Map<string, string>; systemd: boolean },
): Promise<void> {
  const askInto = async (name: string, argv: Argv) => {
    const answer = await ask(host, argv, options)
    if (typeof answer === 'object' && answer.exitCode === 0) texts.set(name, answer.stdout)
  }
  if (CHRONYD.some((path) => existsSync(path))) return askInto('chrony', CHRONYC)
  if (existsSync(TIMESYNCD)) return
  if (NTPD.some((path) => existsSync(path))) return askInto('ntp', NTPQ)
  if (systemd) return askInto('timedatectl', TIMEDATECTL)
}

/** @returns undefined when the program is not there or was killed, `late` when it did not end in time */
async function ask(
  host: HostReader,
  argv: Argv,
  { signal, timeoutMs }: ToolOptions,
): Promise<{ stdout: string; stderr: string; exitCode: number } | 'late' | undefined> {
  try {
    return await host.read(argv, { signal, timeoutMs })
  } catch (error) {
    if (isOpsError(error, 'TIMEOUT')) return 'late'
    if (signal.aborted || !isOpsError(error)) throw error
    return undefined
  }
}

/**
 * The kernel's records at level error or worse. Each read gives one record; without O_NONBLOCK the last would wait.
 * @returns undefined when it may not be read (kernel.dmesg_restrict) or is not there (a container)
 */
export function readKernelLog(): string | undefined {
  let fd: number
  try {
    fd = openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK)
  } catch {
    return undefined
  }
  const buffer = Buffer.alloc(KMSG_RECORD_BYTES)
  let kept = ''
  try {
    for (let records = 0; records < KMSG_MAX_RECORDS; records += 1) {
      const length = readRecord(fd, buffer)
      if (length === undefined) break
      if ((buffer[0] ?? 0) <= DIGIT_3 && buffer[1] === COMMA) kept += buffer.toString('utf8', 0, length)
    }
  } catch (error) {
    if (systemCode(error) === 'EPERM' || systemCode(error) === 'EACCES') return undefined
    throw error
  } finally {
    closeSync(fd)
  }
  return kept
}

/** @returns bytes read; 0 when the record was overwritten meanwhile (EPIPE); undefined at the end (EAGAIN) */
function readRecord(fd: number, buffer: Buffer): number | undefined {
  try {
    const length = readSync(fd, buffer)
    return length === 0 ? undefined : length
  } catch (error) {
    if (systemCode(error) === 'EPIPE') {
      buffer[1] = 0
      return 0
    }
    if (systemCode(error) === 'EAGAIN') return undefined
    throw error
  }
}

/** The end of the first log file there is, cut down to what may matter. */
function readLogFile(texts: Map<string, string>): void {
  const path = LOG_FILES.find((candidate) => statSync(candidate, { throwIfNoEntry: false })?.isFile())
  if (path === undefined) return
  try {
    texts.set(`log ${path}`, keepErrors(readTail(path, LOG_TAIL_BYTES)))
  } catch {
    texts.set('denied', path)
  }
}

/** The first two lines, of which one may be cut, and those that may be errors. */
function keepErrors(text: string): string {
  return text
    .split('\n')
    .filter((line, index) => index < 2 || MAYBE_ERROR.test(line))
    .join('\n')
}

function readTail(path: string, maxBytes: number): string {
  const fd = openSync(path, 'r')
  try {
    const { size } = fstatSync(fd)
    const buffer = Buffer.alloc(Math.min(size, maxBytes))
    return buffer.toString('utf8', 0, readSync(fd, buffer, 0, buffer.length, size - buffer.length))
  } finally {
    closeSync(fd)
  }
}

function formatZone(minutes: number): string {
  const size = Math.abs(minutes)
  const pad = (part: number) => String(part).padStart(2, '0')
  return `${minutes < 0 ? '-' : '+'}${pad(Math.floor(size / 60))}${pad(size % 60)}`
}

function readOrNone(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function keep(texts: Map<string, string>, name: string, text: string | undefined): void {
  if (text !== undefined) texts.set(name, text)
}
