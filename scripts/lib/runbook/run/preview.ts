/** What a run would do, step by step, with every param in place. Only what changes nothing is really run. */
import type { ActionContext, ActionEntry } from '../../action/types.ts'
import { formatDuration } from '../../core/duration.ts'
import type { Renderer } from '../render.ts'
import type { Runbook, Step, Task } from '../types.ts'
import { isLook } from './session.ts'
import { describeWork, hostOf, runTask, type TaskResult } from './task.ts'

export interface PreviewedTask {
  readonly host: string
  readonly command: string
  readonly timeoutMs: number
  /** Of a verify. */
  readonly expect?: string
}

export interface PreviewedStep {
  readonly number: string
  readonly id: string
  readonly title: string
  readonly phase: string
  /** What would come of it: `runs`, `looks`, `waits for a human`, `does not apply`. */
  readonly would: 'run' | 'look' | 'wait' | 'pass'
  readonly task?: PreviewedTask
  readonly verify?: PreviewedTask
  readonly rollback?: PreviewedTask
  /** Asked first: `confirm`, `approval of lead`, `evidence`. */
  readonly asks: readonly string[]
  /** Of a step that only looks: what it saw. */
  readonly seen?: { readonly result: TaskResult['result']; readonly because: string; readonly output: string }
}

export interface PreviewOptions {
  readonly runbook: Runbook
  readonly words: Renderer
  /** Its journal must be one in memory: a dry run leaves no trace. */
  readonly context: ActionContext
  readonly actions: readonly ActionEntry[]
}

const SHOWN_OUTPUT = 600

export async function* previewRun({ runbook, words, context, actions }: PreviewOptions): AsyncGenerator<PreviewedStep> {
  for (const phase of runbook.phases) {
    for (const step of phase.steps) {
      context.signal.throwIfAborted()
      const applies = !step.when || words.holds(step.when)
      const looks = step.task !== undefined && isLook(step)
      const would = !applies ? 'pass' : step.task === undefined ? 'wait' : looks ? 'look' : 'run'
      const tools = { context, actions, words, signal: context.signal, reason: `dry run of ${runbook.id}` }
      const seen = would === 'look' && step.task ? await runTask(step.task, 'run', tools) : undefined
      const task = (one: Task | undefined) => one && previewTask(one, words, context)
      const [work, verify, rollback] = [task(step.task), task(step.verify), task(step.rollback)]
      const { expect } = step.verify ?? {}
      yield {
        ...{ number: step.number, id: step.id, phase: phase.title, would },
        title: words.text(step.title),
        ...(work && { task: work }),
        ...(verify && { verify: { ...verify, ...(expect !== undefined && { expect: words.text(expect) }) } }),
        ...(rollback && { rollback }),
        asks: asksOf(step),
        ...(seen && {
          seen: {
            result: seen.result,
            because: seen.because,
            output: (seen.evidence.output ?? '').slice(-SHOWN_OUTPUT),
          },
        }),
      }
    }
  }
}

function previewTask(task: Task, words: Renderer, { redact }: ActionContext): PreviewedTask {
  const { timeoutMs } = task
  return { host: hostOf(task, words), command: redact(describeWork(task.work, words)), timeoutMs }
}

function asksOf({ approve, confirm, evidenceRequired, retries, task }: Step): string[] {
  return [
    ...(approve === undefined ? [] : [`approval of ${approve}`]),
    ...(confirm === undefined ? [] : ['confirm']),
    ...(evidenceRequired ? ['evidence'] : []),
    ...(retries > 0 && task ? [`${retries} repetitions, the first after ${formatDuration(1_000)}`] : []),
  ]
}
