/**
 * One run of one slot: a process of its own in a process group of its own, ended with all it started when its time is up
 * or when somebody asks for it. What runs inside reports its end to the store; this looks there when the process is gone.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { constants } from 'node:os'
import type { Clock } from '../core/clock.ts'
import { formatDuration } from '../core/duration.ts'
import { messageOf } from '../core/errors.ts'
import type { Argv } from '../core/quote.ts'
import { endProcesses, SLOT_VARIABLE } from './processes.ts'
import type { Store } from './store.ts'
import type { Job, Outcome, RunningSlot } from './types.ts'

export interface RunSlotOptions {
  readonly slot: string
  readonly job: Job
  /** Runs the action of the job and reports to the slot. */
  readonly argv: Argv
  /** What it reads from stdin: the configuration that was accepted. */
  readonly input: string
  readonly store: Store
  readonly clock: Clock
  readonly killGraceMs: number
  /** Shows what it prints on our own stdout and stderr. */
  readonly isVisible?: boolean
}

type Ending = { readonly result: 'killed' | 'cut' | 'timeout'; readonly because: string }

export function startSlot(options: RunSlotOptions): RunningSlot {
  const { argv, slot, job, input, clock, killGraceMs, isVisible } = options
  const [program, ...args] = argv
  const output = isVisible ? 'inherit' : 'ignore'
  const child = spawn(program, args, {
    detached: true,
    stdio: ['pipe', output, output],
    env: { ...process.env, [SLOT_VARIABLE]: slot },
  })
  child.stdin?.on('error', () => {})
  child.stdin?.end(input)

  let ending: Ending | undefined
  let ended: Promise<void> | undefined
  const finished = new AbortController()
  const end = (why: Ending) => {
    if (ending || finished.signal.aborted) return
    ending = why
    ended = endProcesses(slot, { graceMs: killGraceMs, clock, pid: child.pid })
  }
  clock.sleep(job.timeoutMs, finished.signal).then(
    () => end({ result: 'timeout', because: `it was ended after ${formatDuration(job.timeoutMs)}` }),
    () => undefined,
  )
  return {
    stop: (result, because) => end({ result, because }),
    done: exitOf(child).then(async (exit) => {
      finished.abort()
      await ended
      return outcomeOf(exit, ending, options)
    }),
  }
}

type Exit = { readonly code: number } | { readonly problem: string }

function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ problem: `it could not be started: ${messageOf(error)}` }))
    child.once('exit', (code, signal) => resolve({ code: code ?? 128 + (signal ? constants.signals[signal] : 0) }))
  })
}

function outcomeOf(exit: Exit, ending: Ending | undefined, { store, slot }: RunSlotOptions): Outcome {
  if ('problem' in exit) return { result: 'failed', message: exit.problem }
  const reported = store.find(slot)
  const said = reported?.exitCode === undefined ? '' : reported.message
  if (ending) return { result: ending.result, exitCode: exit.code, message: ending.because }
  if (exit.code === 0) return { result: 'ok', exitCode: 0, message: said }
  return { result: 'failed', exitCode: exit.code, message: said || `it ended with ${exit.code} and said nothing` }
}
