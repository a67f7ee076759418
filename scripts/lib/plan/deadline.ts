/** Work with a deadline that ends the work, and a host whose every command ends with it. */
import type { Clock } from '../core/clock.ts'
import { formatDuration } from '../core/duration.ts'
import { OpsError } from '../core/errors.ts'
import type { Host } from '../host/types.ts'

/** Longer than a host's own default timeout: what ignores the signal ends by that. */
export const SETTLE_MS = 45_000

/** Says that work went on although it was told to stop: nobody knows what it will still do. */
export class StillRunning extends OpsError {}

export interface Deadline {
  readonly what: string
  readonly timeoutMs: number
  readonly clock: Clock
  /** Ends the work early, for reasons of its own. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs `work` and waits for its end, also after an abort: whoever undoes it must not do so beside it. What was done is
 * done: work that ends well although it was told to stop has ended well.
 * @throws OpsError TIMEOUT at the deadline, the signal's reason when aborted, else what `work` throws;
 *   StillRunning when it has not ended `SETTLE_MS` after it was told to
 */
export async function withDeadline<T>(work: (signal: AbortSignal) => Promise<T>, deadline: Deadline): Promise<T> {
  const { what, timeoutMs, clock, signal } = deadline
  const stop = new AbortController()
  const over = new AbortController()
  const tooLate = () =>
    stop.abort(new OpsError('TIMEOUT', `${what} did not end within ${formatDuration(timeoutMs)}`, { transient: true }))
  const passOn = () => stop.abort(signal?.reason)
  signal?.throwIfAborted()
  signal?.addEventListener('abort', passOn)
  clock.sleep(timeoutMs, over.signal).then(tooLate, () => undefined)
  try {
    return await Promise.race([work(stop.signal), settled(stop.signal, over.signal, deadline)])
  } catch (error) {
    // What the work says after it was told to stop is noise: the reason is why it was told.
    throw stop.signal.aborted && !(error instanceof StillRunning) ? stop.signal.reason : error
  } finally {
    signal?.removeEventListener('abort', passOn)
    over.abort()
  }
}

/** Rejects once the work has had its time to stop; never otherwise. */
function settled(stop: AbortSignal, over: AbortSignal, { what, clock }: Deadline): Promise<never> {
  return new Promise((_resolve, reject) => {
    const giveUp = () => {
      const error = new StillRunning('FAILED', `${what} was told to stop and still runs`, { cause: stop.reason })
      clock.sleep(SETTLE_MS, over).then(
        () => reject(error),
        () => undefined,
      )
    }
    stop.addEventListener('abort', giveUp, { once: true })
  })
}

/** The same host, on which every call ends when `signal` is aborted: no step has to remember to pass it on. */
export function bindHost(host: Host, signal: AbortSignal): Host {
  const bound = <O extends { readonly signal?: AbortSignal }>(options?: O) => {
    return { ...options, signal: options?.signal ? AbortSignal.any([options.signal, signal]) : signal }
  }
  return {
    name: host.name,
    kind: host.kind,
    read: (argv, options) => host.read(argv, bound(options)),
    get: (path, options) => host.get(path, bound(options)),
    run: (argv, options) => host.run(argv, bound(options)),
    stream: (argv, options) => host.stream(argv, bound(options)),
    put: (path, data, options) => host.put(path, data, bound(options)),
    close: () => host.close(),
  }
}
