/** Keeps looking at instances between calls, so that a dead one is known before a call meets it. */
import type { Clock } from '../core/clock.ts'
import { OpsError } from '../core/errors.ts'
import type { HealthState, TargetHealth } from '../health/index.ts'
import type { Detector } from './detectors.ts'
import type { Instance } from './types.ts'

export interface InstanceStatus {
  readonly instance: Instance
  readonly state: HealthState
  /** Undefined until something was seen of it. */
  readonly health: TargetHealth | undefined
}

export interface MonitorOptions {
  /** Time between two looks at one instance; default 10 s. */
  readonly intervalMs?: number
  /** Looks under way at once; default 8. */
  readonly concurrency?: number
}

export interface InstanceMonitor {
  readonly isRunning: boolean
  /**
   * Looks at all of them now and then every interval, until `stop`. A list that changes is given as a function; when that
   * throws, the last list is looked at again.
   * @throws OpsError USAGE when it is running already, or the detector cannot look
   */
  start(instances: readonly Instance[] | (() => readonly Instance[]), options?: MonitorOptions): void
  /** Ends looks under way; resolves when none is left. */
  stop(): Promise<void>
  /** Looks once at each, now. */
  check(instances: readonly Instance[], options?: { readonly signal?: AbortSignal }): Promise<readonly InstanceStatus[]>
  status(instance: Instance): InstanceStatus
}

export function createMonitor(detector: Detector, clock: Clock): InstanceMonitor {
  let running: { readonly stop: AbortController; readonly done: Promise<void> } | undefined

  const status = (instance: Instance): InstanceStatus => ({
    instance,
    state: detector.status(instance.id),
    health: detector.read(instance.id),
  })
  const check: InstanceMonitor['check'] = async (instances, { signal } = {}) => {
    await lookAtAll(detector, instances, { concurrency: DEFAULT_CONCURRENCY, signal })
    return instances.map(status)
  }
  const watch = async (list: () => readonly Instance[], options: MonitorOptions, signal: AbortSignal) => {
    const { intervalMs = 10_000, concurrency = DEFAULT_CONCURRENCY } = options
    let instances: readonly Instance[] = []
    while (!signal.aborted) {
      const startedMs = clock.monotonic()
      try {
        instances = list()
      } catch {
        // The last one stays.
      }
      await lookAtAll(detector, instances, { concurrency, signal })
      const restMs = Math.max(0, intervalMs - (clock.monotonic() - startedMs))
      await clock.sleep(restMs, signal).catch(() => undefined)
    }
  }

  return {
    get isRunning() {
      return running !== undefined
    },
    start(instances, options = {}) {
      if (running) throw new OpsError('USAGE', 'the monitor is running already', { hint: 'Stop it first.' })
      if (!detector.canProbe) {
        throw new OpsError('USAGE', 'the detector only counts calls: there is nothing to monitor', {
          hint: "Use the detector 'timeout' or a health check.",
        })
      }
      if (!((options.intervalMs ?? 1) > 0)) throw new OpsError('USAGE', 'monitor: intervalMs must be over 0')
      const stop = new AbortController()
      const list = typeof instances === 'function' ? instances : () => instances
      running = { stop, done: watch(list, options, stop.signal) }
    },
    async stop() {
      const stopping = running
      if (!stopping) return
      stopping.stop.abort()
      await stopping.done
      if (running === stopping) running = undefined
    },
    check,
    status,
  }
}

const DEFAULT_CONCURRENCY = 8

async function lookAtAll(
  detector: Detector,
  instances: readonly Instance[],
  { concurrency, signal }: { readonly concurrency: number; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const queue = instances.filter(({ enabled }) => enabled !== false)
  const worker = async () => {
    for (let next = queue.shift(); next && !signal?.aborted; next = queue.shift()) await detector.probe(next, signal)
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, queue.length) }, worker))
}
