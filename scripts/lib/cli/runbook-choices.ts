/** What one key does at a pause of the walk. */
import { printableLine } from '../core/printable.ts'
import { attachFile } from '../runbook/incident/attach.ts'
import type { Answer, Evidence } from '../runbook/incident/types.ts'
import type { StepView } from '../runbook/incident/view.ts'
import { parsePairs } from '../runbook/params.ts'
import type { Stop } from '../runbook/run/advance.ts'
import { answerStep } from '../runbook/run/answer.ts'
import { planRollback } from '../runbook/run/rollback.ts'
import type { Session } from '../runbook/run/session.ts'
import { setParams } from '../runbook/run/set.ts'
import { tellAcknowledged } from '../runbook/run/tell.ts'
import { MILESTONES } from '../runbook/types.ts'
import { rollbackLines, takeBack, type Say } from './runbook-drive.ts'
import { paramLines, statusLines } from './runbook-status.ts'
import { ENTER, type Terminal } from './runbook-terminal.ts'

export interface Walking {
  readonly session: Session
  readonly terminal: Terminal
  readonly suffix: string
  readonly say: Say
  readonly options: { readonly signal: AbortSignal }
  /** Phases that were begun. */
  readonly entered: Set<number>
}

export interface Choice {
  readonly key: string
  readonly label: string
  readonly alias?: readonly string[]
  /** Offered at every pause. */
  readonly isCommon?: boolean
  /** @returns the exit code when that was the end */
  act(): Promise<number | void>
}

/** In the order in which they are shown. */
export function choicesFor(walking: Walking, stop: Stop): Choice[] {
  return [...ownChoices(walking, stop), ...alwaysChoices(walking)]
}

function ownChoices(walking: Walking, stop: Stop): Choice[] {
  switch (stop.kind) {
    case 'phase': {
      const begin = async () => void walking.entered.add(stop.phase.number)
      return [{ key: ENTER, label: 'begin', act: begin }, abortChoice(walking)]
    }
    case 'waiting':
      return [...waitingChoices(walking, stop), abortChoice(walking)]
    case 'decide': {
      const { step, state } = stop.step
      const done = answerChoice(walking, stop.step, {
        key: 'd',
        label: step.verify ? 'verify it' : 'it was done',
        answer: 'done',
      })
      const redo = answerChoice(walking, stop.step, { key: 'r', label: 'redo', answer: 'redo' })
      const override = answerChoice(walking, stop.step, { key: 'o', label: 'override', answer: 'override' })
      return [
        ...(state === 'unknown' ? [done] : []),
        redo,
        override,
        skipChoice(walking, stop.step),
        abortChoice(walking),
      ]
    }
    case 'rollback':
      return [
        {
          key: 'y',
          label: 'go on taking back',
          act: () => takeBack(walking.session, '', { ...walking.options, say: walking.say }),
        },
      ]
    case 'busy':
    case 'closed':
      return []
  }
}

function waitingChoices(walking: Walking, { step, for: waits }: Extract<Stop, { kind: 'waiting' }>): Choice[] {
  const { missing } = step
  const skip = skipChoice(walking, step)
  if (waits === 'approval') return [skip]
  if (waits === 'param') {
    const act = async () => {
      for (const name of missing) if (!(await askParam(walking, name))) return
    }
    return [{ key: ENTER, label: `give ${missing.join(' and ')}`, act }, skip]
  }
  if (waits === 'confirm') {
    return [answerChoice(walking, step, { key: 'y', label: 'yes, run it', answer: 'confirm' }), skip]
  }
  const done = {
    key: ENTER,
    alias: ['d'],
    label: step.step.evidenceRequired ? 'done: what did you see?' : 'done',
    answer: 'done',
  } as const
  const override = answerChoice(walking, step, { key: 'o', label: 'override', answer: 'override' })
  const canOverride = step.step.verify !== undefined && step.step.task === undefined
  return [
    answerChoice(walking, step, done),
    ...(step.step.evidenceRequired
      ? []
      : [answerChoice(walking, step, { key: 'e', label: 'done, with evidence', answer: 'done' })]),
    answerChoice(walking, step, { key: 'f', label: 'done, attach a file', answer: 'done' }),
    ...(canOverride ? [override] : []),
    skip,
  ]
}

interface Answering {
  readonly key: string
  readonly alias?: readonly string[]
  readonly label: string
  readonly answer: Answer
}

function answerChoice(walking: Walking, view: StepView, { key, alias, label, answer }: Answering): Choice {
  const { session, terminal, options } = walking
  const { step, state } = view
  const { params: shownWith } = session.journal.incident()
  return {
    ...{ key, label, ...(alias && { alias }) },
    async act() {
      const request = { step: step.id, answer, shownWith }
      if (answer === 'override' || answer === 'skip') {
        const reason = await terminal.line('      why? ')
        if (reason === undefined) return
        terminal.say([
          `  [${answer === 'skip' ? '-' : '~'}] ${(await answerStep(session, { ...request, reason }, options.signal)).because}`,
        ])
        return
      }
      const needsText =
        answer === 'done' && (key === 'e' || step.evidenceRequired || (state === 'unknown' && !step.verify))
      const evidence = key === 'f' ? await askFile(walking) : needsText ? await askEvidence(terminal) : []
      if (evidence === undefined) return
      if (answer === 'done' && step.verify && (!step.task || state === 'unknown')) terminal.status('      verifying …')
      const { because } = await answerStep(session, { ...request, evidence }, options.signal)
      if (answer === 'done') terminal.say([`  [x] ${because}`])
    },
  }
}

function skipChoice(walking: Walking, step: StepView): Choice {
  return answerChoice(walking, step, { key: 's', label: 'skip', answer: 'skip' })
}

function abortChoice({ session, terminal, options, say }: Walking): Choice {
  return {
    key: 'b',
    label: 'abort',
    async act() {
      terminal.say(rollbackLines(planRollback(session.view())))
      const reason = await terminal.line('      abort and take that back: why? (empty: go on) ')
      if (reason === undefined) return
      return takeBack(session, reason, { ...options, say })
    },
  }
}

/** @returns whether it has a value now */
async function askParam({ terminal, session }: Walking, name: string): Promise<boolean> {
  const text = await terminal.line(`      ${name}: `)
  if (text === undefined) return false
  const { because } = await setParams(session, { [name]: text })
  terminal.say([printableLine(`      ${because}`)])
  return true
}

function paramsChoice({ terminal, session }: Walking): Choice {
  return {
    key: 'p',
    label: 'set a param',
    async act() {
      terminal.say(paramLines(session.view()).map((line) => `      ${line}`))
      const pair = await terminal.line('      name=value: ')
      if (pair === undefined) return
      const { because } = await setParams(session, parsePairs([pair]))
      terminal.say([printableLine(`      ${because}`)])
    },
  }
}

function alwaysChoices(walking: Walking): Choice[] {
  const { session, terminal, suffix } = walking
  const { journal, context, runbook } = session
  const acknowledge = async () => {
    journal.change(({ acknowledged }) => (acknowledged ? [] : [{ kind: 'acknowledged' }]))
    tellAcknowledged(session, session.who)
    terminal.say([`      acknowledged by ${journal.incident().acknowledged?.by ?? session.who}`])
  }
  const note = async () => {
    const text = await terminal.line('      note: ')
    if (text !== undefined) journal.change(() => [{ kind: 'noted', text }])
  }
  const mark = async () => {
    const word = await terminal.line(`      reached (${MILESTONES.join(', ')}): `)
    const milestone = MILESTONES.find((known) => known === word)
    if (milestone) journal.change(({ reached }) => (reached[milestone] ? [] : [{ kind: 'reached', milestone }]))
  }
  const status = async () => {
    const facts = { suffix, now: context.clock.now(), config: context.config, width: terminal.width() }
    terminal.say(['', ...statusLines(session.view(), facts)])
  }
  const common: Choice[] = [
    ...(journal.incident().acknowledged ? [] : [{ key: 'a', label: 'acknowledge', act: acknowledge }]),
    { key: 'n', label: 'note', act: note },
    { key: 'm', label: 'mark', act: mark },
    ...(runbook.params.length === 0 ? [] : [paramsChoice(walking)]),
    { key: '?', label: 'status', act: status },
    { key: 'q', label: 'leave', act: async () => undefined },
  ]
  return common.map((choice) => ({ ...choice, isCommon: true }))
}

async function askEvidence(terminal: Terminal): Promise<Evidence[] | undefined> {
  const text = await terminal.line('      what did you see? ')
  return text === undefined ? undefined : [{ of: 'operator', text }]
}

async function askFile({ terminal, session }: Walking): Promise<Evidence[] | undefined> {
  const file = await terminal.line('      file: ')
  if (file === undefined) return undefined
  return [await attachFile(file, session.store.dirOf(session.id), session.context.redact)]
}
