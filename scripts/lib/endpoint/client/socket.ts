/**
 * Keeps a Socket.io connection on the best endpoint: a connection that fails or breaks goes on to the next one at once,
 * and comes back when an endpoint that goes first answers again. Works with Socket.io's own client, which is handed in.
 */
import { systemClock, type Clock } from '../../core/clock.ts'
import type { EndpointManager } from './manager.ts'

/** What is used of a socket of `socket.io-client`. */
export interface SocketLike {
  on(event: string, listener: (detail?: unknown) => void): unknown
  connect?(): unknown
  disconnect(): unknown
}

export interface FollowOptions<S extends SocketLike> {
  /**
   * Makes a socket and attaches the application's handlers, as `io(url, { reconnection: false, forceNew: true })`: going on
   * to another endpoint is done here, and faster.
   */
  readonly open: (url: string) => S
  /** Until it is connected; default 5 s. */
  readonly connectTimeoutMs?: number
  /** The first wait when all endpoints have failed; doubles up to 30 s. Default 1 s. */
  readonly retryMs?: number
  readonly clock?: Clock
}

export interface FollowedSocket<S extends SocketLike> {
  /** The socket in use; another one after each move. Undefined while there is no endpoint. */
  readonly socket: S | undefined
  readonly url: string | undefined
  readonly isConnected: boolean
  close(): void
}

const MAX_RETRY_MS = 30_000

/** One connection; it is over once it failed, was dropped, or another took its place. */
interface Line<S> {
  readonly socket: S
  readonly url: string
  isConnected: boolean
  isOver: boolean
  end(): void
}

/**
 *   connecting   `open` was called; `connect` makes it connected, an error, a break or the time limit goes on to the next
 *   connected    stays until it breaks. When another endpoint should be used, a second connection is made beside it, and takes
 *                its place once it is connected
 *   waiting      every endpoint has failed since the last connection; begins again after a pause
 *   ended        the server closed it on purpose (as with Socket.io itself, nobody reconnects), or `close` was called
 */
export function followSocket<S extends SocketLike>(
  manager: EndpointManager,
  options: FollowOptions<S>,
): FollowedSocket<S> {
  const { open, connectTimeoutMs = 5_000, retryMs = 1_000, clock = systemClock } = options
  const closed = new AbortController()
  let live: Line<S> | undefined
  let next: Line<S> | undefined
  let failed: string[] = []
  let rounds = 0

  const dial = (url: string): Line<S> => {
    const timer = new AbortController()
    const startedMs = clock.monotonic()
    const line: Line<S> = {
      socket: open(url),
      url,
      isConnected: false,
      isOver: false,
      end() {
        line.isOver = true
        timer.abort()
        line.socket.disconnect()
      },
    }
    const fail = (error: unknown) => {
      if (line.isOver) return
      line.end()
      failed.push(url)
      manager.report('socketio', url, { outcome: 'failure', durationMs: clock.monotonic() - startedMs, error })
      onFail(line)
    }
    line.socket.on('connect', () => {
      if (line.isOver) return
      line.isConnected = true
      timer.abort()
      manager.report('socketio', url, { outcome: 'success', durationMs: clock.monotonic() - startedMs })
      onConnect(line)
    })
    line.socket.on('connect_error', fail)
    line.socket.on('disconnect', (reason) => {
      if (line.isOver) return
      // The server's own wish, an expired session for one: another endpoint would not help.
      if (reason === 'io server disconnect') end()
      else fail(new Error(String(reason)))
    })
    clock.sleep(connectTimeoutMs, timer.signal).then(
      () => fail(new Error(`not connected within ${connectTimeoutMs} ms`)),
      () => undefined,
    )
    return line
  }
  const onConnect = (line: Line<S>) => {
    if (line === next) {
      live?.end()
      live = line
      next = undefined
    }
    // One that has just failed is given another try when it passes a check, not at once.
    follow()
    failed = []
    rounds = 0
  }
  const onFail = (line: Line<S>) => {
    if (line === live) live = next
    next = undefined
    if (!live) start()
  }
  const start = () => {
    if (closed.signal.aborted) return
    const url = nextUrl()
    if (url === undefined) pause()
    else live = dial(url)
  }
  /** The one in use, unless it failed since the last connection; then the next that did not. */
  const nextUrl = () => {
    const current = manager.current('socketio')
    const urls = [
      ...(current === undefined ? [] : [current]),
      ...manager.status('socketio').flatMap(({ url }) => (url === current ? [] : [url])),
    ]
    return urls.find((url) => !failed.includes(url))
  }
  const pause = () => {
    failed = []
    const waitMs = Math.min(MAX_RETRY_MS, retryMs * 2 ** rounds) * (0.75 + Math.random() / 2)
    rounds += 1
    clock.sleep(waitMs, closed.signal).then(start, () => undefined)
  }
  /** Moves a connection that works to the endpoint that should be used. */
  const follow = () => {
    const current = manager.current('socketio')
    if (!live?.isConnected || live.isOver || next || current === undefined) return
    if (current !== live.url && !failed.includes(current)) next = dial(current)
  }
  const end = () => {
    stopListening()
    closed.abort()
    for (const line of [live, next]) line?.end()
    live = next = undefined
  }
  const stopListening = manager.on((event) => {
    if (event.type === 'health' && event.to === 'healthy') failed = failed.filter((url) => url !== event.url)
    if (event.type === 'health' || event.type === 'switch') follow()
  })
  start()

  return {
    get socket() {
      return live?.socket
    },
    get url() {
      return live?.url
    },
    get isConnected() {
      return live?.isConnected ?? false
    },
    close: end,
  }
}
