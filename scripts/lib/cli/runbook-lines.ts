/** How a run reads: lines of steps, what is waited for, and the exact commands to go on. Text only; nothing is read. */
import { formatDuration } from '../core/duration.ts'
import { printable, printableLine } from '../core/printable.ts'
import { isTicking, viewTimers } from '../runbook/incident/timers.ts'
import type { Incident } from '../runbook/incident/types.ts'
import { describeCondition, type StepState, type StepView, type View } from '../runbook/incident/view.ts'
import { describeWork, hostOf } from '../runbook/run/task.ts'
import type { StepEnd } from '../runbook/run/step.ts'
import type { Renderer } from '../runbook/render.ts'
import type { Step } from '../runbook/types.ts'
import { markdownLines, together, whole, type Line, type StyledLine } from './runbook-layout.ts'

export const COMMAND = 'npx zx scripts/runbook.ts'

export const MARK_OF: Readonly<Record<StepState, string>> = {
  ...{ pending: ' ', running: '>', waiting: '?', unknown: '!', done: 'x', failed: '!', skipped: '-', overridden: '~' },
  ...{ 'rolled-back': '<', 'does-not-apply': '/' },
}

export function headLine({ incident, runbook }: Pick<View, 'incident' | 'runbook'>): string {
  const { id, drill, subject } = incident
  const about = subject ? `  ${subject}` : ''
  return printableLine(`${drill ? 'DRILL ' : ''}${id}  ${runbook.title} (${runbook.severity})${about}`)
}

export function stepLine({ step, state, waitingFor, missing, words, record }: StepView): string {
  const title = plain(words.title(step.title))
  const by = record && state !== 'pending' && state !== 'waiting' ? `, ${record.by}` : ''
  const why = record?.because && state !== 'done' ? `: ${record.because}` : ''
  const names = missing.join(', ')
  const needs = missing.length === 0 ? '' : ` (needs ${names})`
  const waits = waitingFor === undefined ? needs : ` (${WAITS[waitingFor]}${names === '' ? '' : ` ${names}`})`
  const to = record?.assignee === undefined ? '' : ` @${record.assignee}`
  const told =
    state === 'pending' || state === 'waiting'
      ? waits
      : state === 'does-not-apply'
        ? `  does not apply: ${describeCondition(step, words)}`
        : `  ${state}${by}${why}`
  return printableLine(`[${MARK_OF[state]}] ${step.number} ${title}${to}${told}`)
}

const WAITS = {
  param: 'waits for a value of',
  human: 'waits for a human',
  confirm: 'waits to be confirmed',
  approval: 'waits for agreement',
  evidence: 'waits for what was seen',
} as const

const INDENT = '      '

/** What somebody has to know to answer a step: its text, what would run, and where. */
export function stepLines(view: StepView, now: Renderer): Line[] {
  const { step, words } = view
  const [text, ran, next] = [words.text(step.text), workLines(step, words), workLines(step, now)]
  const again = view.state === 'failed' || view.state === 'unknown' ? next : ran
  return [
    ...textLines(text),
    ...ran,
    ...(sameLines(ran, again) ? [] : [`${INDENT}since then params were set; again, it would be:`, ...again]),
  ]
}

function workLines({ task, verify }: Step, words: Renderer): StyledLine[] {
  const lines = [
    ...(task ? `on ${hostOf(task, words)}: ${describeWork(task.work, words)}`.split('\n') : []),
    ...(verify ? `then: ${describeWork(verify.work, words)} on ${hostOf(verify, words)}`.split('\n') : []),
  ]
  return lines.map((line) => whole(`${INDENT}${printable(line)}`))
}

function sameLines(some: readonly StyledLine[], others: readonly StyledLine[]): boolean {
  return some.length === others.length && some.every(({ text }, index) => text === others[index]?.text)
}

/** Markdown of an item or a phase, from outside: nothing in it moves the cursor. */
export function textLines(text: string, indent = INDENT): StyledLine[] {
  return markdownLines(text.trim(), indent).map((line) => ({ ...line, text: printable(line.text) }))
}

/** What a person needs to judge by: of a look, what to look for and what it saw; of a failure, what was said. */
export function seenLines({ text, readOnly }: Step, { result, evidence }: StepEnd, words: Renderer): Line[] {
  if (!readOnly && result === 'ok') return []
  const seen = evidence.flatMap(({ output = '' }) => output.trimEnd().split('\n')).filter((line) => line !== '')
  const cut = seen.length > MAX_SEEN ? [`… ${seen.length - MAX_SEEN} lines before`] : []
  return [...(readOnly ? textLines(words.text(text)) : []), ...[...cut, ...seen.slice(-MAX_SEEN)].map(outputLine)]
}

/** As a machine has put it out. */
export function outputLine(line: string): StyledLine {
  return { head: `${INDENT}| `, text: printable(line), whole: 'words' }
}

/** Lines: what a screen holds beside the rest. The whole of it is in the evidence. */
const MAX_SEEN = 40

/** Markdown of a title without its marks: `**Read** the \`state\`` reads as it is meant. */
export function plain(text: string): string {
  return text.replace(/\*\*|__|`/g, '').replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
}

/** The commands by which a human goes on, each with what it does. */
export function commandsFor(view: View, suffix: string): (readonly [command: string, what: string])[] {
  const { next } = view
  const with_ = (words: string) => `${COMMAND} ${words}${suffix}`
  const skip = (id: string) => [with_(`skip ${id} --reason "why"`), 'leave it out'] as const
  const abort = [with_('abort --reason "why"'), 'end it and take back what was changed'] as const
  switch (next.do) {
    case 'wait': {
      const { id, approve, confirm, evidenceRequired, verify, task } = next.step.step
      if (next.for === 'param') {
        const values = next.step.missing.map((name) => ` ${name}=…`).join('')
        return [
          [`${COMMAND} set${values}${suffix}`, 'the value that it needs'],
          [with_('next'), 'then go on'],
          skip(id),
        ]
      }
      if (next.for === 'approval')
        return [[with_(`approve ${id}`), `as ${approve}, not by ${view.incident.startedBy}`], skip(id)]
      if (next.for === 'confirm') {
        const asked = typeof confirm === 'string' ? plain(view.words.text(confirm)) : 'let it run'
        return [[with_(`confirm ${id}`), asked], [with_('next'), 'then go on'], skip(id)]
      }
      const needs = evidenceRequired || next.for === 'evidence'
      const done = with_(`done ${id}${needs ? ' --evidence "what you saw"' : ''}`)
      const override =
        verify && !task ? [[with_(`override ${id} --reason "why"`), 'although verify does not agree'] as const] : []
      return [[done, 'it is done'], [with_('next'), 'then go on'], ...override, skip(id)]
    }
    case 'decide': {
      const { id, verify } = next.step.step
      const redo = [with_(`redo ${id}`), 'run it again'] as const
      if (next.step.state === 'unknown') {
        const seen = verify ? '' : ' --evidence "what you saw"'
        return [[with_(`done ${id}${seen}`), verify ? 'verify it' : 'it was done: you looked'], redo, skip(id), abort]
      }
      return [redo, [with_(`override ${id} --reason "why"`), 'go on although it failed'], skip(id), abort]
    }
    case 'rollback':
      return [[with_('resume'), 'go on taking back']]
    case 'nothing':
      return !isTicking(view.incident) ? [] : [[with_('mark resolved'), 'when it is fixed and written down']]
    default:
      return [[with_('next'), 'go on']]
  }
}

/** `acknowledge 3 min 12 s · mitigate overdue by 2 min`; empty when no timer runs. */
export function timerLine(incident: Incident, now: number): string {
  return viewTimers(incident, now)
    .filter(({ state }) => state !== 'stopped')
    .map(({ timer, dueAt, state }) => {
      const away = formatDuration(Math.max(1_000, Math.floor(Math.abs(dueAt - now) / 1_000) * 1_000))
      return state === 'overdue' ? `${timer.name} OVERDUE by ${away}` : `${timer.name} in ${away}`
    })
    .join(' · ')
}

/** On a line of its own. */
export function timersLine(timers: string): StyledLine {
  return { head: 'timers: ', text: timers.split(' · ').map(together).join(' · ') }
}

export function clockTime(at: number): string {
  return `${new Date(at).toISOString().slice(11, 19)} UTC`
}
