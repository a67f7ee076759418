/** A terminal for a walk: one key at a time, a line of text when it is asked for, and a last line that is written over. */
import { createInterface } from 'node:readline/promises'
import { printableLine } from '../core/printable.ts'
import { wrapText } from '../report/width.ts'
import { layOut, type Line, type Painter } from './runbook-layout.ts'

export interface Terminal {
  /** Wrapped to its width, but for what is to stay whole. */
  say(lines: readonly Line[]): void
  /** The last line, until something else is said. */
  status(text: string): void
  /**
   * Waits for one of `keys`, redrawing the last line each second.
   * @returns the key; `changed` when `changed()` holds, for then the question is not the same any more
   */
  key(options: KeyOptions): Promise<string>
  /** A line of text; undefined when it was left empty or Ctrl-C was pressed. */
  line(question: string): Promise<string | undefined>
  /** Calls back on a key while something runs; returns what ends that. */
  listen(onKey: (key: string) => void): () => void
  /** In columns. */
  width(): number
  close(): void
}

export interface KeyOptions {
  readonly keys: readonly string[]
  readonly status: () => string
  readonly changed: () => boolean
  readonly signal: AbortSignal
}

export const ENTER = 'enter'
export const CTRL_C = 'ctrl-c'

/** To the beginning of the line, and erase it (ECMA-48 EL). */
const CLEAR_LINE = '\r\u001b[2K'
const REDRAW_MS = 1_000
/** How soon an answer from another shell is seen. */
const POLL_MS = 300

export async function openTerminal(): Promise<Terminal> {
  const { stdin, stdout } = process
  const { default: chalk } = await import('chalk')
  const color = Boolean(stdout.isTTY) && !process.env['NO_COLOR']
  const paint: Painter = (tone, text) => (color ? chalk[tone](text) : text)
  const width = () => stdout.columns || 80
  let drawn = false
  const clear = () => {
    if (drawn) stdout.write(CLEAR_LINE)
    drawn = false
  }
  const status = (text: string) => {
    stdout.write(CLEAR_LINE + (wrapText(printableLine(text), width() - 1)[0] ?? ''))
    drawn = true
  }
  const raw = (on: boolean) => {
    if (stdin.isTTY) stdin.setRawMode(on)
    if (on) stdin.resume()
    else stdin.pause()
  }
  const listen: Terminal['listen'] = (onKey) => {
    raw(true)
    const onData = (data: Buffer) => keysIn(data.toString('utf8')).forEach(onKey)
    stdin.on('data', onData)
    return () => {
      stdin.off('data', onData)
      raw(false)
    }
  }
  return {
    say(lines) {
      clear()
      stdout.write(
        layOut(lines, width(), paint)
          .map((line) => `${line}\n`)
          .join(''),
      )
    },
    width,
    status,
    listen,
    key: ({ keys, status: text, changed, signal }) =>
      new Promise((resolve, reject) => {
        const end = (settle: () => void) => {
          stop()
          clearInterval(redraw)
          clearInterval(poll)
          signal.removeEventListener('abort', onAbort)
          clear()
          settle()
        }
        // An abort reason is the caller's own value and is passed on as it is.
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
        const onAbort = () => end(() => reject(signal.reason))
        const stop = listen((key) => {
          if (key === CTRL_C || keys.includes(key)) end(() => resolve(key))
        })
        const redraw = setInterval(() => status(text()), REDRAW_MS)
        const poll = setInterval(() => {
          try {
            if (changed()) end(() => resolve('changed'))
          } catch (error) {
            // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
            end(() => reject(error))
          }
        }, POLL_MS)
        signal.addEventListener('abort', onAbort, { once: true })
        if (signal.aborted) onAbort()
        else status(text())
      }),
    async line(question) {
      clear()
      const reader = createInterface({ input: stdin, output: stdout })
      const controller = new AbortController()
      reader.on('SIGINT', () => controller.abort())
      try {
        const text = (await reader.question(question, { signal: controller.signal })).trim()
        return text === '' ? undefined : text
      } catch {
        stdout.write('\n')
        return undefined
      } finally {
        reader.close()
      }
    },
    close() {
      clear()
      raw(false)
    },
  }
}

/** Keys in what the terminal sent; arrows and other sequences are none of ours. */
function keysIn(text: string): string[] {
  return [...text.replace(/\u001b(?:\[[0-9;]*[A-Za-z~]|O[A-Z])?/g, '')].map((char) => {
    if (char === '\r' || char === '\n') return ENTER
    return char === '\u0003' ? CTRL_C : char.toLowerCase()
  })
}
