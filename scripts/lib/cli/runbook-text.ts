/** A runbook as an operator reads it on a terminal: what it is, what it must be told, and each step with what it runs. */
import { quoteArgv, type Argv } from '../core/quote.ts'
import { formatDuration } from '../core/duration.ts'
import type { Paint } from '../report/terminal.ts'
import { displayWidth, padTo } from '../report/width.ts'
import { layOut, markdownLines, plainText } from './runbook-layout.ts'
import { formatParamValue } from '../runbook/params.ts'
import type { Param, Phase, Runbook, Step, Task, Timer, Verify } from '../runbook/types.ts'

export interface TextOptions {
  readonly paint: Paint
  /** Columns; absent: nothing is wrapped. */
  readonly width?: number | undefined
}

/** Prose is not wrapped wider than this: longer lines are hard to read. */
const MAX_WIDTH = 100

export function formatRunbook(runbook: Runbook, { paint, width }: TextOptions): string {
  const { id, title, severity, owner, mode, lastTested, intro, params, roles, timers, phases, file } = runbook
  const layout: Layout = { paint, width: width === undefined ? undefined : Math.min(width, MAX_WIDTH) }
  const facts = [id, severity, mode, owner, lastTested === undefined ? 'never tested' : `last tested ${lastTested}`]
  return [
    paint.bold(title),
    facts.join(' · '),
    paint.dim(file),
    ...section('', prose(intro, '', layout)),
    ...section(paint.bold('Params'), paramLines(params, layout)),
    ...section(paint.bold('Roles'), pairs(Object.entries(roles), layout)),
    ...section(paint.bold('Timers'), pairs((timers ?? []).map(timerLine), layout)),
    ...phases.flatMap((phase) => phaseLines(phase, layout)),
    '',
    `next: ${startCommand(runbook)}`,
  ].join('\n')
}

/** What is typed to start it, with what has to be told left open. */
export function startCommand({ id, params }: Pick<Runbook, 'id' | 'params'>): string {
  const required = params.filter((param) => param.default === undefined)
  return ['npx zx scripts/runbook.ts start', id, ...required.map(({ name }) => `--param ${name}=…`)].join(' ')
}

/** A command as it would be typed; an action by its name with its params. */
export function workLines({ work }: Task): string[] {
  if (work.kind === 'argv') return [`$ ${quoteArgv(work.argv as unknown as Argv)}`]
  if (work.kind === 'shell')
    return work.script
      .trimEnd()
      .split('\n')
      .map((line, index) => `${index === 0 ? '$' : ' '} ${line}`)
  const params = Object.entries(work.params).map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
  return [`> ${[work.name, ...(params.length > 0 ? [`{ ${params.join(', ')} }`] : [])].join(' ')}`]
}

interface Layout {
  readonly paint: Paint
  readonly width: number | undefined
}

function section(heading: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return []
  return ['', ...(heading === '' ? [] : [heading]), ...lines]
}

function phaseLines({ number, title, text, steps }: Phase, layout: Layout): string[] {
  const heading = layout.paint.bold(`${number}  ${title}`)
  return [
    ...section(heading, prose(text, '   ', layout)),
    ...(text === '' ? ['', heading] : []),
    ...steps.flatMap((step) => stepLines(step, layout)),
  ]
}

const STEP_INDENT = '       '

function stepLines(step: Step, layout: Layout): string[] {
  const { number, title, text, task, verify, rollback } = step
  const head = `  ${padTo(number, 4)} [ ] `
  const { paint } = layout
  return [
    '',
    ...hanging(head, plainText(title), layout).map((line) => paint.bold(line)),
    ...prose(text, STEP_INDENT, layout),
    ...(task ? taskLines('', task, layout) : []),
    ...(verify ? taskLines('verify ', verify, layout, gateOf(verify)) : []),
    ...(rollback ? taskLines('rollback ', rollback, layout) : []),
    ...marksOf(step).map((mark) => paint.dim(`${STEP_INDENT}${mark}`)),
  ]
}

function taskLines(label: string, task: Task, { paint }: Layout, more: readonly string[] = []): string[] {
  const [first = '', ...rest] = workLines(task)
  const where = task.on === undefined ? [] : [`on ${task.on}`]
  const about = [...where, `at most ${formatDuration(task.timeoutMs)}`, ...more].join(' · ')
  const pad = ' '.repeat(displayWidth(label))
  return [
    `${STEP_INDENT}${label}${first}`,
    ...rest.map((line) => `${STEP_INDENT}${pad}${line}`),
    paint.dim(`${STEP_INDENT}${pad}  ${about}`),
  ]
}

function gateOf({ expect, withinMs }: Verify): string[] {
  return [
    ...(expect === undefined ? [] : [`must say "${expect}"`]),
    ...(withinMs === 0 ? [] : [`within ${formatDuration(withinMs)}`]),
  ]
}

function marksOf(step: Step): string[] {
  const {
    id,
    number,
    readOnly,
    informs,
    irreversible,
    when,
    needs,
    confirm,
    retries,
    approve,
    evidenceRequired,
    marks,
    task,
  } = step
  const condition =
    when && `${when.param}${when.test === 'set' ? ' is set' : ` is ${when.test === 'is' ? '' : 'not '}"${when.value}"`}`
  const words = [
    ...(id === number ? [] : [id]),
    ...(task ? [] : ['done by you']),
    ...(readOnly ? ['only looks'] : []),
    ...(informs ? ['tells, does not judge'] : []),
    ...(irreversible ? ['no way back'] : []),
    ...(condition ? [`only when ${condition}`] : []),
    ...(needs === undefined ? [] : [`asks for ${needs.join(', ')}`]),
    ...(confirm === undefined ? [] : ['asks first']),
    ...(retries === 0 ? [] : [`tried again up to ${retries} times`]),
    ...(approve === undefined ? [] : [`approved by ${approve}`]),
    ...(evidenceRequired ? ['asks for what was seen'] : []),
    ...(marks === undefined ? [] : [`then: ${marks}`]),
  ]
  return words.length === 0 ? [] : [words.join(' · ')]
}

function paramLines(params: readonly Param[], layout: Layout): string[] {
  return pairs(
    params.map(({ name, type, default: value, choices, description }): [string, string] => {
      const kind = choices ? choices.join(' | ') : type
      const origin =
        value === undefined
          ? 'must be given'
          : value === ''
            ? 'may be left out'
            : `default ${formatParamValue(type, value)}`
      return [name, `${kind}, ${origin}${description === '' ? '' : `. ${description}`}`]
    }),
    layout,
  )
}

function timerLine({ title, afterMs, stoppedBy }: Timer): [string, string] {
  return [formatDuration(afterMs), `${title} (${stoppedBy})`]
}

function pairs(rows: readonly (readonly [string, string])[], layout: Layout): string[] {
  const width = Math.max(0, ...rows.map(([name]) => displayWidth(name)))
  return rows.flatMap(([name, value]) => hanging(`  ${padTo(name, width)}  `, value, layout))
}

function prose(text: string, indent: string, { width }: Layout): string[] {
  return layOut(markdownLines(text, indent), width)
}

function hanging(head: string, text: string, { width }: Layout): string[] {
  return layOut([{ head, text }], width)
}
