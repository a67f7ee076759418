/** Does one task on one machine, and keeps what was seen. Never throws for what a machine did: that is an answer. */
import { runAction, type ActionResult } from '../../action/run.ts'
import type { Finding } from '../../report/types.ts'
import type { ActionContext, ActionEntry } from '../../action/types.ts'
import { formatDuration } from '../../core/duration.ts'
import { isOpsError, messageOf, OpsError } from '../../core/errors.ts'
import { quoteArgv, type Argv } from '../../core/quote.ts'
import { PlanFailure } from '../../plan/index.ts'
import type { Evidence } from '../incident/types.ts'
import type { Renderer } from '../render.ts'
import type { Task, Work } from '../types.ts'

export interface TaskTools {
  readonly context: ActionContext
  readonly actions: readonly ActionEntry[]
  readonly words: Renderer
  readonly signal: AbortSignal
  /** Why, for whoever finds a lease taken. */
  readonly reason: string
}

export interface TaskResult {
  readonly result: 'ok' | 'failed' | 'interrupted'
  readonly because: string
  readonly evidence: Evidence
  /** What `expect` is looked for in. */
  readonly output: string
  /** It failed, and nothing is in effect: an action that has taken everything back, or that did not begin. */
  readonly unchanged?: boolean
}

/** Read from a command at most; kept of it as evidence at most: its beginning and, longer, its end. */
const READ_BYTES = 1024 * 1024
const KEPT_HEAD = 4 * 1024
const KEPT_TAIL = 12 * 1024
const LOCAL = ['local', 'localhost']

/** The host a task runs on, by its opskit name. */
export function hostOf({ on }: Pick<Task, 'on'>, words: Renderer): string {
  const name = on === undefined ? 'localhost' : words.text(on)
  return LOCAL.includes(name) ? 'localhost' : name
}

/** As it would be typed, with params in place. Not redacted. */
export function describeWork(work: Work, words: Renderer): string {
  switch (work.kind) {
    case 'argv':
      return quoteArgv(argvOf(work.argv, words))
    case 'shell':
      return work.script.trim()
    case 'action': {
      const rendered = words.value(work.params) as Record<string, unknown>
      const shown = Object.entries(rendered).map(([key, value]) => `${key}=${JSON.stringify(value)}`)
      return [`action ${work.name}`, ...shown].join(' ')
    }
  }
}

function argvOf(templates: readonly string[], words: Renderer): Argv {
  const [program = '', ...args] = words.argv(templates)
  return [program, ...args]
}

export async function runTask(task: Task, of: Evidence['of'], tools: TaskTools): Promise<TaskResult> {
  const { context, words, signal } = tools
  const { clock, redact } = context
  const host = hostOf(task, words)
  const about = { of, host, command: redact(describeWork(task.work, words)) }
  const startedAt = clock.monotonic()
  const durationMs = () => Math.round(clock.monotonic() - startedAt)
  try {
    const done = task.work.kind === 'action' ? await runNamed(task, tools) : await runCommand(task, host, tools)
    const { exitCode, output, because } = done
    const evidence = { ...about, exitCode, durationMs: durationMs(), ...keep(redact(output)) }
    return { result: exitCode === 0 ? 'ok' : 'failed', because: redact(because), evidence, output }
  } catch (error) {
    const because = redact(sayError(error, task))
    const evidence = { ...about, durationMs: durationMs(), text: because }
    const unchanged = task.work.kind === 'action' && !mayBeInEffect(error)
    return { result: signal.aborted ? 'interrupted' : 'failed', because, evidence, output: '', unchanged }
  }
}

/** What an action threw before its plan was applied has changed nothing; after that, the plan's end says it. */
function mayBeInEffect(error: unknown): boolean {
  if (error instanceof PlanFailure) return error.result.changed
  return error instanceof Error && error.cause !== undefined && mayBeInEffect(error.cause)
}

interface Done {
  readonly exitCode: number
  readonly output: string
  readonly because: string
}

async function runCommand({ work, timeoutMs }: Task, host: string, tools: TaskTools): Promise<Done> {
  if (work.kind === 'action') throw new TypeError('an action is no command')
  const { context, words, signal } = tools
  const machine = await context.hosts.open(host, { signal })
  const argv: Argv = work.kind === 'argv' ? argvOf(work.argv, words) : ['sh', '-c', work.script, 'runbook-step']
  const env = work.kind === 'shell' ? { env: words.variables } : {}
  const ran = await machine.run(argv, { timeoutMs, signal, okCodes: 'any', maxOutputBytes: READ_BYTES, ...env })
  const { exitCode, stdout, stderr, durationMs } = ran
  const output = [stdout, stderr].filter((text) => text !== '').join(stdout.endsWith('\n') ? '' : '\n')
  const took = formatDuration(durationMs)
  return {
    exitCode,
    output,
    because: exitCode === 0 ? `ended well after ${took}` : `exit status ${exitCode} after ${took}`,
  }
}

async function runNamed({ work, timeoutMs }: Task, tools: TaskTools): Promise<Done> {
  if (work.kind !== 'action') throw new TypeError('a command is no action')
  const { context, actions, words, signal, reason } = tools
  const entry = actions.find(({ name }) => name === work.name)
  if (!entry) throw new OpsError('USAGE', `there is no action "${work.name}"`)
  const deadline = AbortSignal.timeout(timeoutMs)
  const action = await entry.load()
  const limited = { ...context, signal: AbortSignal.any([signal, deadline]) }
  const result = await runAction(action, words.value(work.params), limited, { reason }).catch((error: unknown) => {
    if (!deadline.aborted || signal.aborted) throw error
    throw new OpsError('TIMEOUT', `${work.name} was not done within ${formatDuration(timeoutMs)}`, { cause: error })
  })
  return judge(result)
}

/** Worst first. */
const TROUBLE = ['critical', 'warning', 'unknown'] as const
/** More good news than this is a number. */
const MAX_GOOD = 8

function sayFinding({ severity, host, check, title, evidence }: Finding): string {
  return `${severity} ${host} ${check}: ${title}${evidence ? `, ${evidence}` : ''}`
}

function sayGood(good: readonly Finding[]): string[] {
  if (good.length <= MAX_GOOD) return good.map(sayFinding)
  return [`ok ${good.length}: ${[...new Set(good.map(({ check }) => check))].join(', ')}`]
}

/** A look has failed when it finds something critical. */
function judge(result: ActionResult): Done {
  if (result.kind === 'applied') {
    const { title, because, steps } = result.result
    const lines = steps.map((step) => `${step.outcome}: ${step.title} (${step.message})`)
    return { exitCode: 0, output: lines.join('\n'), because: `${title}: ${because}` }
  }
  if (result.kind === 'plan') throw new TypeError('nobody asked for a dry run')
  const { title, findings } = result.report
  const bad = findings.filter(({ severity }) => severity === 'critical')
  const lines = [
    ...TROUBLE.flatMap((severity) => findings.filter((found) => found.severity === severity).map(sayFinding)),
    ...sayGood(findings.filter(({ severity }) => severity === 'ok')),
  ]
  const because = bad.length === 0 ? `${title}: nothing critical` : `${title}: ${bad.length} critical: ${bad[0]?.title}`
  return { exitCode: bad.length === 0 ? 0 : 2, output: lines.join('\n'), because }
}

function sayError(error: unknown, { timeoutMs }: Task): string {
  if (isOpsError(error, 'TIMEOUT')) return `${error.message} (it had ${formatDuration(timeoutMs)})`
  const hint = isOpsError(error) ? error.details.hint : undefined
  return hint === undefined ? messageOf(error) : `${messageOf(error)}. ${hint}`
}

function keep(output: string): Pick<Evidence, 'output' | 'truncated'> {
  if (output === '') return {}
  if (output.length <= KEPT_HEAD + KEPT_TAIL) return { output }
  const left = output.length - KEPT_HEAD - KEPT_TAIL
  const middle = `\n[… ${left} characters left out …]\n`
  return { output: `${output.slice(0, KEPT_HEAD)}${middle}${output.slice(-KEPT_TAIL)}`, truncated: true }
}
