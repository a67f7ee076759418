/**
 * The kernel's own log, as /dev/kmsg or `dmesg -r` gives it.
 *
 * Source: kernel Documentation/ABI/testing/dev-kmsg: `priority,sequence,microseconds,flags;text`, then continuation lines
 * that start with a space; dmesg(1): `<priority>[seconds] text`. Times count from boot and stand still while a machine
 * is suspended.
 */

export interface LogRecord {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly source: string
  readonly message: string
}

/** LOG_ERR of syslog(3); what is more severe has a lower number. */
const ERROR_LEVEL = 3

/**
 * The records of the kernel itself at level error or worse, oldest first.
 * @param bootedAt milliseconds since the epoch
 */
export function parseKernelLog(kmsg: string, bootedAt: number): LogRecord[] {
  return kmsg.split('\n').flatMap((line): LogRecord[] => {
    const record = parseDevice(line) ?? parseDmesg(line)
    // Facility 0 is the kernel; programs that write to /dev/kmsg come with their own, so their number is higher.
    if (!record || record.priority > ERROR_LEVEL) return []
    return [{ at: bootedAt + record.afterBootMs, source: 'kernel', message: unescapeBytes(record.text) }]
  })
}

interface RawRecord {
  readonly priority: number
  readonly afterBootMs: number
  readonly text: string
}

function parseDevice(line: string): RawRecord | undefined {
  const match = /^(\d+),\d+,(\d+),[^;]*;(.*)$/.exec(line)
  return match ? { priority: Number(match[1]), afterBootMs: Number(match[2]) / 1000, text: match[3] ?? '' } : undefined
}

function parseDmesg(line: string): RawRecord | undefined {
  const match = /^<(\d+)>\[ *(\d+\.\d+)\] ?(.*)$/.exec(line)
  return match ? { priority: Number(match[1]), afterBootMs: Number(match[2]) * 1000, text: match[3] ?? '' } : undefined
}

/** The kernel writes bytes that are not printable as `\x1b`; a text of several bytes is put together again. */
function unescapeBytes(text: string): string {
  return text.replace(/(?:\\x[0-9a-f]{2})+/g, (run) => Buffer.from(run.replaceAll('\\x', ''), 'hex').toString('utf8'))
}
