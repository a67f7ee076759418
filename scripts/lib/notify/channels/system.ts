/**
 * The machine's own ways: the system log by logger(1), which journald reads too, and the terminals of everybody by wall(1).
 * Text goes by standard input, never in the argument list.
 */
import { spawn } from 'node:child_process'
import type { SystemChannel } from '../../config/types.ts'
import { messageOf, systemCode } from '../../core/errors.ts'
import { printableLine } from '../../core/printable.ts'
import { cutBytes } from '../bounds.ts'
import { DeliveryError } from '../delivery-error.ts'
import { factsOf, formatPlain, formatSummary } from '../render/fields.ts'
import type { Channel, Message } from '../types.ts'

const TIMEOUT_MS = 5_000
/** RFC 5424 6.1: receivers should take 2,048 bytes; logger(1) is told so, its own limit is 1 KiB. */
const MAX_LOG_BYTES = 2_000
/** wall(1) shows it on a terminal that somebody works on. */
const MAX_WALL_BYTES = 1_200
const PRIORITY_OF = { info: 'info', warning: 'warning', critical: 'crit' } as const

export function openSystemChannel({ via = ['logger'], facility = 'daemon', socket }: SystemChannel): Channel {
  const ways = {
    logger: (message: Message, signal: AbortSignal) => {
      const priority = `${facility}.${PRIORITY_OF[message.severity]}`
      const where = socket === undefined ? [] : ['--socket', socket]
      const flags = ['--tag', 'opskit', '--priority', priority, '--size', '2048', '--socket-errors=on', ...where]
      return run(['logger', ...flags], { input: cutBytes(formatLogLine(message), MAX_LOG_BYTES), signal })
    },
    wall: (message: Message, signal: AbortSignal) =>
      run(['wall'], { input: cutBytes(formatPlain(message), MAX_WALL_BYTES), signal }),
  }
  return {
    concurrency: 1,
    async send(message, { signal }) {
      for (const way of via) await ways[way](message, signal)
      return { answer: `taken by ${via.join(' and ')}` }
    },
    close: async () => undefined,
  }
}

/** One line: syslog would make an entry of each. */
function formatLogLine(message: Message): string {
  const facts = factsOf(message).map(
    ([name, value]) => `${name.toLowerCase().replace(/\s+/g, '_')}=${JSON.stringify(value)}`,
  )
  return printableLine([formatSummary(message), message.text ?? '', ...facts, `id=${message.id}`].join(' '))
}

function run(
  [program, ...args]: readonly [string, ...string[]],
  { input, signal }: { input: string; signal: AbortSignal },
) {
  return new Promise<void>((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['pipe', 'ignore', 'pipe'],
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      killSignal: 'SIGKILL',
    })
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(0, 1_000)
    })
    const fail = (what: string, transient: boolean, cause?: unknown) =>
      reject(new DeliveryError(`${program}: ${what}`, { transient, scope: 'channel', cause }))
    child.on('error', (error) => fail(systemCode(error) ?? messageOf(error), systemCode(error) !== 'ENOENT', error))
    child.on('close', (code) => (code === 0 ? resolve() : fail(printableLine(said) || `exit status ${code}`, true)))
    // It may end without reading; its exit status then tells.
    child.stdin.on('error', () => undefined)
    child.stdin.end(`${input}\n`)
  })
}
