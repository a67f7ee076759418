/** A headless Chromium that opens pages and answers questions about them, over its debugging pipe. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { makeTempDir } from './temp.ts'

export interface Browser {
  /** Opens `url` in a new tab and waits until it has loaded. */
  open(url: string, options?: { readonly width?: number; readonly dark?: boolean }): Promise<Page>
  close(): Promise<void>
}

export interface Page {
  /** The value of a JavaScript expression in the page, as JSON. */
  evaluate<T>(expression: string): Promise<T>
  /** Every URL that the page asked for, its own first. */
  requests(): readonly string[]
  /** What the console, the security policy included, complained about. */
  complaints(): readonly string[]
}

type Answer = Readonly<Record<string, unknown>>
type Send = (method: string, params?: object, sessionId?: string) => Promise<Answer>
type Listen = (sessionId: string, listener: (method: string, params: Answer) => void) => void

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--remote-debugging-pipe',
]

/** A browser takes a second or two to start, so a file's tests share one. */
export async function startChromium(timeoutMs = 30_000): Promise<Browser> {
  const profile = await makeTempDir('chromium')
  const child = spawn('chromium', [...FLAGS, `--user-data-dir=${profile.path}`], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const exited = once(child, 'exit').catch(() => undefined)
  await once(child, 'spawn')
  const [, , , input, output] = child.stdio
  const { send, listen } = connect(input as Writable, output as Readable, timeoutMs)
  return {
    open: (url, options = {}) => openPage({ send, listen, url, options, timeoutMs }),
    async close() {
      // Its children (one per tab) are in its process group.
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
      await exited
      await profile.remove()
    },
  }
}

/** The DevTools protocol over a pipe: JSON messages, each ended by a NUL byte. */
function connect(input: Writable, output: Readable, timeoutMs: number): { send: Send; listen: Listen } {
  const waiting = new Map<number, (message: Answer) => void>()
  const listeners = new Map<string, (method: string, params: Answer) => void>()
  let nextId = 1
  let buffered = ''
  input.on('error', () => undefined)
  output.setEncoding('utf8').on('data', (chunk: string) => {
    const messages = (buffered + chunk).split('\0')
    buffered = messages.pop() ?? ''
    for (const text of messages) {
      const message = JSON.parse(text) as Answer
      if (typeof message.id === 'number') waiting.get(message.id)?.(message)
      else listeners.get(message.sessionId as string)?.(message.method as string, message.params as Answer)
    }
  })
  return {
    listen: (sessionId, listener) => listeners.set(sessionId, listener),
    send: (method, params = {}, sessionId) =>
      new Promise((resolve, reject) => {
        const id = nextId++
        const timer = setTimeout(() => reject(new Error(`chromium gave no answer to ${method}`)), timeoutMs)
        waiting.set(id, (message) => {
          clearTimeout(timer)
          waiting.delete(id)
          if (message.error) reject(new Error(`${method}: ${JSON.stringify(message.error)}`))
          else resolve(message.result as Answer)
        })
        input.write(`${JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) })}\0`)
      }),
  }
}

async function openPage({
  send,
  listen,
  url,
  options: { width = 1280, dark = false },
  timeoutMs,
}: {
  send: Send
  listen: Listen
  url: string
  options: { readonly width?: number; readonly dark?: boolean }
  timeoutMs: number
}): Promise<Page> {
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' })
  const { sessionId } = (await send('Target.attachToTarget', { targetId, flatten: true })) as { sessionId: string }
  const requests: string[] = []
  const complaints: string[] = []
  const loaded = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`chromium did not load ${url}`)), timeoutMs)
    listen(sessionId, (method, params) => {
      if (method === 'Network.requestWillBeSent') requests.push((params.request as { url: string }).url)
      if (method === 'Log.entryAdded') complaints.push((params.entry as { text: string }).text)
      if (method !== 'Page.loadEventFired') return
      clearTimeout(timer)
      resolve()
    })
  })
  for (const domain of ['Page', 'Network', 'Log', 'Runtime']) await send(`${domain}.enable`, {}, sessionId)
  const features = [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }]
  await send('Emulation.setEmulatedMedia', { features }, sessionId)
  const metrics = { width, height: 900, deviceScaleFactor: 1, mobile: false }
  await send('Emulation.setDeviceMetricsOverride', metrics, sessionId)
  await send('Page.navigate', { url }, sessionId)
  await loaded
  return {
    requests: () => requests,
    complaints: () => complaints,
    async evaluate<T>(expression: string) {
      const parameters = { expression, returnByValue: true, awaitPromise: true }
      const { result, exceptionDetails } = await send('Runtime.evaluate', parameters, sessionId)
      if (exceptionDetails) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`)
      return (result as { value: T }).value
    },
  }
}
