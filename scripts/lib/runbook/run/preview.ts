/** What a run would do, step by step, with every param in place. Only what changes nothing is really run. */
import { runAction } from '../../action/run.ts'
import type { ActionContext, ActionEntry } from '../../action/types.ts'
import { formatDuration } from '../../core/duration.ts'
import { messageOf } from '../../core/errors.ts'
import { formatPlan } from '../../plan/index.ts'
import type { ParamValues } from '../params.ts'
import { createRenderer, type Renderer } from '../render.ts'
import { missingParams } from '../uses.ts'
import type { Runbook, Step, Task } from '../types.ts'
import { isLook } from './session.ts'
import { describeWork, hostOf, runTask, type TaskResult, type TaskTools } from './task.ts'

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
  /** Of an action that changes something: what it would do as things are now, or why that cannot be said. */
  readonly plan?: readonly string[]
  readonly verify?: PreviewedTask
  readonly rollback?: PreviewedTask
  /** Asked first: `confirm`, `approval of lead`, `evidence`. */
  readonly asks: readonly string[]
  /** Of a step that only looks: what it saw. */
  readonly seen?: { readonly result: TaskResult['result']; readonly because: string; readonly output: string }
}

export interface PreviewOptions {
  readonly runbook: Runbook
  readonly params: ParamValues
  /** Its journal must be one in memory: a dry run leaves no trace. */
  readonly context: ActionContext
  readonly actions: readonly ActionEntry[]
}

const SHOWN_OUTPUT = 600

export async function* previewRun({
  runbook,
  params,
  context,
  actions,
}: PreviewOptions): AsyncGenerator<PreviewedStep> {
  const words = createRenderer(runbook, params)
  for (const phase of runbook.phases) {
    for (const step of phase.steps) {
      context.signal.throwIfAborted()
      const missing = missingParams(step, params)
      const applies = !step.when || words.holds(step.when)
      const looks = step.task !== undefined && isLook(step)
      const would = !applies ? 'pass' : step.task === undefined ? 'wait' : looks ? 'look' : 'run'
      const tools = { context, actions, words, signal: context.signal, reason: `dry run of ${runbook.id}` }
      const seen =
        would === 'look' && step.task && missing.length === 0 ? await runTask(step.task, 'run', tools) : undefined
      const plan =
        would === 'run' && step.task?.work.kind === 'action' && missing.length === 0
          ? await planLines(step.task, tools)
          : undefined
      const task = (one: Task | undefined) => one && previewTask(one, words, context)
      const [work, verify, rollback] = [task(step.task), task(step.verify), task(step.rollback)]
      const { expect } = step.verify ?? {}
      yield {
        ...{ number: step.number, id: step.id, phase: phase.title, would },
        title: words.title(step.title),
        ...(work && { task: work }),
        ...(plan && { plan }),
        ...(verify && { verify: { ...verify, ...(expect !== undefined && { expect: words.text(expect) }) } }),
        ...(rollback && { rollback }),
        asks: applies ? [...missing.map((name) => `a value of ${name}`), ...asksOf(step)] : [],
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

/** Planning looks at machines and changes none. */
async function planLines(
  { work, timeoutMs }: Task,
  { context, actions, words, signal }: TaskTools,
): Promise<readonly string[]> {
  const entry = work.kind === 'action' ? actions.find(({ name }) => name === work.name) : undefined
  if (!entry || work.kind !== 'action') return []
  const limited = { ...context, signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) }
  try {
    const result = await runAction(await entry.load(), words.value(work.params), limited, { dryRun: true })
    return result.kind === 'plan' ? formatPlan(result.description).map(context.redact) : []
  } catch (error) {
    signal.throwIfAborted()
    return [`it cannot be said now: ${context.redact(messageOf(error))}`]
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
