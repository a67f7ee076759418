/**
 * The walk: an operator is led through a runbook, one thing at a time. What machines can do is done before their eyes; at
 * each pause one key answers. Others may answer from their shells meanwhile. Leaving is safe at any time: `resume`.
 */
import { OpsError } from '../core/errors.ts'
import { EXIT_CODE_OF } from '../core/exit.ts'
import { printableLine } from '../core/printable.ts'
import { wrapItems } from '../report/width.ts'
import type { IncidentEvent } from '../runbook/incident/types.ts'
import { formatParamValue } from '../runbook/params.ts'
import type { Stop } from '../runbook/run/advance.ts'
import type { PreparedAnswers } from '../runbook/run/answers-file.ts'
import type { Session } from '../runbook/run/session.ts'
import { fireDue } from '../runbook/run/tell.ts'
import type { Phase } from '../runbook/types.ts'
import { formatError } from './print-error.ts'
import { endLines, goOn, settle, type DriveOptions, type Say } from './runbook-drive.ts'
import { choicesFor, type Choice, type Walking } from './runbook-choices.ts'
import type { Chosen } from './runbook-open.ts'
import { whole, type Line } from './runbook-layout.ts'
import { COMMAND, headLine, outputLine, plain, stepLine, stepLines, textLines, timerLine } from './runbook-lines.ts'
import { CTRL_C, openTerminal, type Terminal } from './runbook-terminal.ts'

export interface WalkOptions {
  readonly signal: AbortSignal
  readonly yes: boolean
  readonly prepared: PreparedAnswers | undefined
}

/** @returns the exit code: as `drive`, 10 when it was left */
export async function walk(chosen: Chosen, options: WalkOptions): Promise<number> {
  const terminal = await openTerminal()
  try {
    return await walkOn(chosen, options, terminal)
  } finally {
    terminal.close()
  }
}

async function walkOn(chosen: Chosen, options: WalkOptions, terminal: Terminal): Promise<number> {
  const { session, suffix } = chosen
  const say: Say = async (line) => terminal.say([line])
  const entered = new Set<number>()
  terminal.say(['', { text: headLine(session.view()), tone: 'bold' }, ...introLines(session)])
  for (;;) {
    const { stop, left } = await runOn(session, { options, terminal, entered, say })
    if (stop.kind === 'closed' || (stop.kind === 'decide' && options.yes && stop.step.state === 'failed')) {
      const code = await settle(session, stop, { options: { ...options, json: false }, say })
      terminal.say(endLines(session, stop, suffix))
      return code
    }
    if (left) return leave(chosen, terminal)
    const walking: Walking = { session, terminal, suffix, say, options, entered }
    show(walking, stop)
    const code = await answerOne(walking, stop)
    if (code === 'left') return leave(chosen, terminal)
    if (code !== undefined) {
      terminal.say(endLines(session, { kind: 'closed' }, suffix))
      return code
    }
  }
}

interface Running {
  readonly options: WalkOptions
  readonly terminal: Terminal
  readonly entered: ReadonlySet<number>
  readonly say: Say
}

/** Runs what can be run. q leaves after the step that runs, Ctrl-C ends it: then nobody knows how far it got. */
async function runOn(
  session: Session,
  { options, terminal, entered, say }: Running,
): Promise<{ stop: Stop; left: boolean }> {
  const interrupt = new AbortController()
  let left = false
  let running: { readonly title: string; readonly since: number } | undefined
  const unlisten = terminal.listen((key) => {
    if (key === 'q') left = true
    if (key !== CTRL_C) return
    left = true
    interrupt.abort(new OpsError('INTERRUPTED', 'interrupted'))
  })
  const draw = () => {
    if (!running) return
    const seconds = Math.floor((performance.now() - running.since) / 1_000)
    const leaving = left ? ', then leaving' : ''
    terminal.status(
      `  … ${running.title}  ${seconds} s${leaving}   ${timerLine(session.journal.incident(), session.context.clock.now())}`,
    )
  }
  const redraw = setInterval(draw, 500)
  const driving: DriveOptions = {
    signal: AbortSignal.any([options.signal, interrupt.signal]),
    ...{ yes: options.yes, json: false, prepared: options.prepared },
    mayEnter: (phase) => !left && entered.has(phase.number),
    onStart: (step) => {
      running = { title: `${step.number} ${plain(session.view().words.title(step.title))}`, since: performance.now() }
      draw()
    },
  }
  try {
    return { stop: await goOn(session, driving, async (line) => ((running = undefined), say(line))), left }
  } catch (error) {
    if (!interrupt.signal.aborted || options.signal.aborted) throw error
    return { stop: { kind: 'busy', because: 'interrupted' }, left: true }
  } finally {
    clearInterval(redraw)
    unlisten()
  }
}

function show({ session, terminal }: Walking, stop: Stop): void {
  const view = session.view()
  switch (stop.kind) {
    case 'phase':
      return terminal.say(phaseLines(session, stop.phase))
    case 'waiting':
    case 'decide': {
      const { state, record } = stop.step
      const bad = state === 'failed' || state === 'unknown'
      const text = stepLine(stop.step)
      const seen: Line[] =
        bad && record?.because ? [{ text: `      ${printableLine(record.because)}`, tone: 'red' }] : []
      const output = bad ? lastOutput(session, stop.step.step.id) : []
      const asked = stop.kind === 'waiting' ? questionLines(stop, session) : []
      const head: Line = { text, tone: bad ? 'red' : 'bold' }
      return terminal.say(['', head, ...stepLines(stop.step, view.words), ...output, ...seen, ...asked])
    }
    case 'busy':
      return terminal.say(['', printableLine(stop.because)])
    case 'rollback':
      return terminal.say(['', { text: 'it is being rolled back', tone: 'red' }])
    case 'closed':
  }
}

/** What is asked before a machine goes on. */
function questionLines({ step, for: waits }: Extract<Stop, { kind: 'waiting' }>, session: Session): Line[] {
  const { confirm, approve, id } = step.step
  if (waits === 'param') return step.missing.flatMap((name) => paramLine(session, name))
  if (waits === 'confirm' && typeof confirm === 'string') {
    return [`      ${printableLine(plain(step.words.text(confirm)))}`]
  }
  if (waits !== 'approval') return []
  const { startedBy } = session.journal.incident()
  return [
    printableLine(`      Somebody else than ${startedBy} (${approve}) agrees in another shell:`),
    whole(`      ${COMMAND} approve ${id}`),
  ]
}

/** What a value is wanted for. */
function paramLine({ runbook }: Session, wanted: string): Line[] {
  return runbook.params
    .filter(({ name }) => name === wanted)
    .map(({ name, type, choices, description }) => {
      const kind = choices?.join(' | ') ?? type
      return printableLine(`      ${name}: ${kind}${description === '' ? '' : `. ${description}`}`)
    })
}

/** @returns the exit code at the end, `left` when the operator leaves, undefined to go on */
async function answerOne(walking: Walking, stop: Stop): Promise<number | 'left' | undefined> {
  const { session, terminal, options } = walking
  const choices = choicesFor(walking, stop)
  const { seq } = session.journal.incident()
  for (const group of [choices.filter(({ isCommon }) => !isCommon), choices.filter(({ isCommon }) => isCommon)]) {
    const items = group.map(({ key, label }) => `[${key}] ${label}`)
    const tone = group[0]?.isCommon ? ({ tone: 'dim' } as const) : {}
    const fitting = wrapItems(items, '  ', terminal.width() - 6)
    terminal.say(fitting.map((text): Line => ({ head: '      ', text, ...tone })))
  }
  const key = await terminal.key({
    keys: choices.flatMap((choice) => [choice.key, ...(choice.alias ?? [])]),
    status: () => `  ${timerLine(session.journal.incident(), session.context.clock.now())}`,
    changed: () => (
      fireDue(session),
      session.journal.incident().seq !== seq || (stop.kind === 'busy' && isFree(session))
    ),
    signal: options.signal,
  })
  if (key === 'changed') return tellChange(walking, seq)
  if (key === CTRL_C || key === 'q') return 'left'
  return act(
    walking,
    choices.find((choice) => choice.key === key || choice.alias?.includes(key)),
  )
}

async function act({ terminal, session }: Walking, choice: Choice | undefined): Promise<number | undefined> {
  try {
    return (await choice?.act()) ?? undefined
  } catch (error) {
    // Written down or refused: it is said, and the same question is asked again.
    if (
      !(error instanceof OpsError) ||
      ['INTERRUPTED', 'TERMINATED', 'DATA_MISMATCH', 'CANNOT_WRITE'].includes(error.code)
    )
      throw error
    terminal.say(formatError(error).map((line) => ({ text: session.context.redact(line), tone: 'red' })))
    return undefined
  }
}

function tellChange({ session, terminal }: Walking, seq: number): undefined {
  const news = session.journal.events().filter((event) => event.seq > seq)
  for (const event of news) {
    terminal.say([{ text: printableLine(`  * ${event.who}: ${newsOf(event)}`), tone: 'bold' }])
  }
  return undefined
}

function newsOf(event: IncidentEvent): string {
  switch (event.kind) {
    case 'step.answered':
      return `${event.step}: ${event.answer}`
    case 'param.set':
      return `${event.param} set to ${formatParamValue(undefined, event.to)}`
    case 'timer.fired':
      return `NOT IN TIME: ${event.title}`
    case 'escalated':
      return `CALL ${event.contact}`
    case 'noted':
      return `note: ${event.text}`
    default:
      return event.kind
  }
}

function isFree(session: Session): boolean {
  return session.view().next.do !== 'watch'
}

function leave({ session, suffix }: Chosen, terminal: Terminal): number {
  const command = `${COMMAND} resume ${session.id}${suffix.replace(/ --incident \S+/, '')}`
  terminal.say(['', `left; ${session.id} stays open. To come back:`, whole(`  ${command}`)])
  return EXIT_CODE_OF.NEEDS_HUMAN
}

function introLines({ runbook, context, view }: Session): Line[] {
  const text = textLines(view().words.text(runbook.intro), '  ')
  const contacts = Object.values(context.config.runbook.contacts).map(({ role, name, phone }) =>
    [role, name, phone].filter(Boolean).join(' '),
  )
  return [
    ...(text.length === 0 ? [] : ['', ...text]),
    ...(contacts.length === 0 ? [] : ['', printableLine(`  To call: ${contacts.join('; ')}`)]),
  ]
}

/** The pause point: what the phase is for. Done from memory it is listed whole first, then confirmed item by item. */
function phaseLines(session: Session, phase: Phase): Line[] {
  const view = session.view()
  const items = view.steps.filter((step) => step.phase.number === phase.number).map((step) => stepLine(step))
  const fromMemory = session.runbook.mode === 'do-confirm'
  const head = `── ${phase.number} of ${session.runbook.phases.length}: ${printableLine(plain(phase.title))} ──`
  return [
    '',
    { text: head, tone: 'bold' },
    ...textLines(view.words.text(phase.text), '  '),
    ...items.map((text) => `  ${text}`),
    ...(fromMemory ? ['  Do them from memory, then confirm them one by one.'] : []),
  ]
}

/** The end of what a step said, for whoever has to decide. */
function lastOutput({ journal }: Session, step: string): Line[] {
  const ended = journal.events().findLast((event) => event.kind === 'step.ended' && event.step === step)
  if (ended?.kind !== 'step.ended') return []
  const output = ended.evidence.at(-1)?.output?.trimEnd() ?? ''
  return output === '' ? [] : output.split('\n').slice(-8).map(outputLine)
}
