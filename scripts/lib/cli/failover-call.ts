/** `failover call`: runs a command against instances until one of them serves it. */
import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { messageOf, OpsError } from '../core/errors.ts'
import { exitCodeOf } from '../core/exit.ts'
import { createLog, type Log } from '../core/log.ts'
import type { Argv } from '../core/quote.ts'
import {
  createFailover,
  parseInstance,
  type Failover,
  type FailoverEvent,
  type FailoverOptions,
  type FailoverResult,
  type Instance,
  type Selection,
} from '../resilience/index.ts'
import { CommandFailed, commandFor, createChildren, requireProgram, type Children } from './failover-child.ts'
import { defaultStateFile, openStateFile, type StateFile, type StoredState } from './failover-state.ts'

export interface CallFlags {
  readonly instances: string[]
  readonly retries: number
  readonly timeout: number
  readonly deadline: number
  readonly wait: number
  readonly idempotent?: boolean
  readonly hedge?: number
  readonly selection: Selection
  readonly answer?: number[]
  readonly unsent?: number[]
  readonly breakerThreshold: number
  readonly breakerTimeout: number
  /** `false` from --no-state. */
  readonly state?: string | false
  readonly verbose?: boolean
}

/** Exit statuses that mean "never reached the server": curl(1), 5 and 6 cannot resolve, 7 cannot connect. */
const UNSENT_EXITS: Readonly<Record<string, readonly number[]>> = { curl: [5, 6, 7] }

/** @returns the exit code of the command that decided, or ours when none could be run to its end */
export async function call(command: readonly string[], flags: CallFlags, signal: AbortSignal): Promise<number> {
  const log = createLog({ verbose: flags.verbose ?? false })
  const argv = requireCommand(command)
  const instances = parseInstances(flags.instances)
  for (const instance of instances) commandFor(argv, instance)
  const options = failoverOptions(flags, argv)

  using state = openState(flags, log)
  const failover = recall(options, state.file?.read(), log)
  const events: FailoverEvent[] = []
  failover.on((event) => {
    events.push(event)
    if (event.type === 'attempt') log.debug(`${event.instance}: ${event.outcome}${because(event.error)}`)
  })
  const dir = await mkdtemp(join(tmpdir(), 'opskit-failover-'))
  const children = createChildren()
  try {
    const run = attemptOf(argv, dir, children)
    const result = await failover.execute(instances, run, { idempotent: flags.idempotent ?? false, signal })
    await children.gone()
    remember(state.file, options, events, log)
    return await conclude(result, log)
  } finally {
    await children.gone()
    await rm(dir, { recursive: true, force: true })
  }
}

function failoverOptions(flags: CallFlags, [program]: Argv): FailoverOptions {
  const answers = new Set(flags.answer ?? [])
  const unsent = new Set(flags.unsent ?? UNSENT_EXITS[basename(program)] ?? [])
  return {
    service: 'shell',
    maxRetries: flags.retries,
    attemptTimeoutMs: flags.timeout,
    totalTimeoutMs: flags.deadline,
    retryIntervalMs: flags.wait,
    maxBackoffMs: Math.max(10_000, flags.wait),
    selection: flags.selection,
    breakerThreshold: flags.breakerThreshold,
    breakerTimeoutMs: flags.breakerTimeout,
    // A shell does not ask its calls to come back later for their probes: one that succeeds is enough.
    breaker: { probes: 1 },
    retryBudget: false,
    ...(flags.hedge !== undefined && { hedge: { delayMs: flags.hedge } }),
    classify: (error) => (error instanceof CommandFailed && answers.has(error.exitCode) ? 'answer' : undefined),
    neverSent: (error) => error instanceof CommandFailed && unsent.has(error.exitCode),
  }
}

/** Each attempt writes to a file of its own; the value of the winner is the path. */
function attemptOf(argv: Argv, dir: string, children: Children) {
  return async (instance: Instance, { number, signal }: { number: number; signal: AbortSignal }): Promise<string> => {
    const stdoutPath = join(dir, `${number}.out`)
    await children.run({ argv: commandFor(argv, instance), stdoutPath, signal })
    return stdoutPath
  }
}

async function conclude(result: FailoverResult<string>, log: Log): Promise<number> {
  const failed = result.failedNodes.join(', ')
  if (result.success) {
    await copyToStdout(result.value)
    if (failed !== '') log.info(`answered by ${result.instance.id}; failed before: ${failed}`)
    return 0
  }
  const { error } = result
  const answered = result.attempts.at(-1)?.outcome === 'answer'
  if (answered && error instanceof CommandFailed) {
    await copyToStdout(error.stdoutPath)
    return error.exitCode
  }
  if (error instanceof CommandFailed) {
    log.warn(`no instance served it (failed: ${failed}): ${error.message}; ${result.because}`)
    return error.exitCode
  }
  const reason =
    failed === ''
      ? messageOf(error)
      : `no instance served it (failed: ${failed}): ${messageOf(error)}; ${result.because}`
  log.warn(reason)
  return exitCodeOf(error)
}

async function copyToStdout(path: string): Promise<void> {
  await pipeline(createReadStream(path), process.stdout, { end: false })
}

/** A failover that knows what the state file knows; one that knows nothing when that cannot be read. */
function recall(options: FailoverOptions, stored: StoredState | undefined, log: Log): Failover {
  const failover = createFailover(options)
  if (!stored) return failover
  try {
    failover.restore(stored.state, stored.elapsedMs)
    return failover
  } catch (error) {
    log.warn(`the saved state is not used and will be replaced: ${messageOf(error)}`)
    return createFailover(options)
  }
}

/** Plays what this run saw onto what is stored now, which other shells may have changed meanwhile. */
function remember(
  file: StateFile | undefined,
  options: FailoverOptions,
  events: readonly FailoverEvent[],
  log: Log,
): void {
  if (!file) return
  try {
    file.update((stored) => {
      const failover = recall(options, stored, log)
      for (const event of events) replay(failover, event, options.service ?? '')
      return failover.save()
    })
  } catch (error) {
    log.warn(`what was learnt of the instances is lost: ${messageOf(error)}`)
  }
}

function replay(failover: Failover, event: FailoverEvent, service: string): void {
  const { metrics, detector } = failover
  if (event.type === 'retry') metrics?.incrementRetries(service)
  else if (event.type === 'failover') metrics?.incrementFailovers(service, event.from, event.to)
  else if (event.type === 'hedge') metrics?.incrementHedges(service)
  else if (event.type === 'panic' && event.active) metrics?.recordPanic(service)
  else if (event.type === 'call') metrics?.recordCall(service, event.success)
  if (event.type !== 'attempt') return
  const instance = { id: event.instance, address: event.instance }
  const { durationMs, error } = event
  if (event.outcome === 'success' || event.outcome === 'answer')
    failover.report(instance, { outcome: 'success', durationMs })
  else if (event.outcome === 'failure') failover.report(instance, { outcome: 'failure', durationMs, error })
  else metrics?.recordAttempt(event.instance, event.outcome)
  if (event.outcome === 'overtaken') detector.markFailed(instance, 'another instance answered first')
}

/** The call matters more than its memory: a state that cannot be opened is said and done without. */
function openState({ state }: CallFlags, log: Log): Disposable & { readonly file: StateFile | undefined } {
  let file: StateFile | undefined
  try {
    file = state === false ? undefined : openStateFile(state ?? defaultStateFile())
  } catch (error) {
    log.warn(`breakers do not hold over this call: ${messageOf(error)}`)
  }
  return { file, [Symbol.dispose]: () => file?.close() }
}

/** @throws OpsError USAGE for no instance, one that is no address, or the same one twice */
export function parseInstances(texts: readonly string[]): Instance[] {
  const instances = texts.map(parseInstance)
  const twice = instances.find(({ id }, i) => instances.findIndex((other) => other.id === id) !== i)
  if (twice) throw new OpsError('USAGE', `${twice.id} is named twice`, { hint: 'Name each instance once.' })
  if (instances.length === 0) {
    throw new OpsError('USAGE', 'no instance is named', { hint: 'Add --instances host:port,host:port.' })
  }
  return instances
}

function requireCommand([program, ...args]: readonly string[]): Argv {
  if (program === undefined) {
    throw new OpsError('USAGE', 'no command is given', { hint: 'Write it after --: … -- curl -fsS http://{instance}/' })
  }
  requireProgram(program)
  return [program, ...args]
}

function because(error: unknown): string {
  return error === undefined ? '' : `, ${messageOf(error)}`
}
