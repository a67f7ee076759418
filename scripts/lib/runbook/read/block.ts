/** The block of an item as the step it means. What needs the rest of the file (params, roles, hosts) is lint's. */
import type { ActionEntry } from '../../action/types.ts'
import type { Path } from '../../config/walk.ts'
import type { Complaint, Condition, Place, Step, Task, Verify, Work } from '../types.ts'
import { readSection, type PlaceOf, type Section } from './embedded.ts'
import type { OutlineItem } from './outline.ts'
import { blockSchema, type BlockData, type WorkData } from './schema.ts'

/** What an action is called and whether it changes anything; the catalog, handed in. */
export type KnownActions = readonly Pick<ActionEntry, 'name' | 'changes'>[]

const DEFAULT_TIMEOUT_MS = 60_000

export interface ReadStep {
  readonly step: Step
  readonly complaints: readonly Complaint[]
  readonly placeOf: PlaceOf
}

interface Position {
  readonly file: string
  /** `2.3` */
  readonly number: string
  readonly actions: KnownActions
}

export function readStep(item: OutlineItem, { file, number, actions }: Position): ReadStep {
  const place: Place = { file, line: item.line, column: item.column }
  const base = { number, title: item.title, text: item.text, place }
  if (!item.block) return { step: humanStep(base), complaints: [], placeOf: () => place }
  const section = readSection(blockSchema, item.block, file)
  const { data, placeOf } = section
  if (!data) return { step: humanStep(base), complaints: section.complaints, placeOf }
  const complaints: Complaint[] = []
  const complain = (path: Path, message: string, hint?: string) => {
    complaints.push({ place: placeOf(path, 'key'), severity: 'error', message, ...(hint && { hint }) })
  }
  refuseCombinations(data, complain)
  const step = stepFrom(section, data, { base, complain, actions })
  return { step, complaints, placeOf }
}

type Complain = (path: Path, message: string, hint?: string) => void
type Base = Pick<Step, 'number' | 'title' | 'text' | 'place'>

function humanStep(base: Base): Step {
  return { ...base, id: base.number, irreversible: false, readOnly: false, retries: 0, evidenceRequired: false }
}

function stepFrom(
  section: Section<BlockData>,
  data: BlockData,
  { base, complain, actions }: { base: Base; complain: Complain; actions: KnownActions },
): Step {
  const task = taskFrom(section, data, [])
  const verify = data.verify && verifyFrom(section, data, complain)
  const rollback = data.rollback && taskFrom(section, data.rollback, ['rollback'], data.on)
  if (data.rollback && !rollback) complain(['rollback'], 'a rollback needs run or action')
  const when = data.when === undefined ? undefined : conditionFrom(data.when)
  if (data.when !== undefined && !when) {
    complain(
      ['when'],
      `"${data.when}" is no condition`,
      'Write "{{name}}", "{{name}} == value" or "{{name}} != value".',
    )
  }
  const confirm = confirmFrom(data.confirm)
  return {
    ...humanStep(base),
    ...(data.id !== undefined && { id: data.id }),
    ...(task && { task }),
    ...(verify && { verify }),
    ...(rollback && { rollback }),
    irreversible: data.irreversible ?? false,
    readOnly: (data.read_only ?? false) || (task !== undefined && onlyLooks(task.work, actions)),
    ...(data.informs && { informs: true }),
    ...(when && { when }),
    ...(data.needs && { needs: data.needs }),
    ...(confirm !== undefined && { confirm }),
    retries: data.retries ?? 0,
    ...(data.approve !== undefined && { approve: data.approve }),
    evidenceRequired: data.evidence === 'required',
    ...(data.marks && { marks: data.marks }),
  }
}

/** @param on where it runs when it does not say so itself */
function taskFrom(section: Section<BlockData>, data: WorkData, path: Path, on?: string): Task | undefined {
  const work = workFrom(section, data, path)
  const where = data.on ?? on
  return work && { work, ...(where !== undefined && { on: where }), timeoutMs: data.timeout ?? DEFAULT_TIMEOUT_MS }
}

function workFrom({ textAt }: Section<BlockData>, { action, run, params }: WorkData, path: Path): Work | undefined {
  if (action !== undefined) return { kind: 'action', name: action, params: params ?? {} }
  if (typeof run === 'string') return { kind: 'shell', script: run }
  if (run === undefined) return undefined
  // As it is written: 007 and 1.10 are not the numbers that YAML makes of them.
  const written = (value: unknown, index: number) =>
    typeof value === 'string' ? value : (textAt([...path, 'run', index]) ?? String(value))
  return { kind: 'argv', argv: run.map(written) }
}

function verifyFrom(section: Section<BlockData>, data: BlockData, complain: Complain): Verify | undefined {
  const task = data.verify && taskFrom(section, data.verify, ['verify'], data.on)
  if (!task) {
    complain(['verify'], 'a verify needs run or action')
    return undefined
  }
  const { expect, within } = data.verify ?? {}
  return { ...task, ...(expect !== undefined && { expect }), withinMs: within ?? 0 }
}

function refuseCombinations(data: BlockData, complain: Complain): void {
  const has = (key: keyof BlockData) => data[key] !== undefined
  for (const [part, path] of [
    [data, []],
    [data.verify, ['verify']],
    [data.rollback, ['rollback']],
  ] as const) {
    if (part?.action !== undefined && part.run !== undefined)
      complain([...path, 'run'], 'run and action exclude each other')
    if (part?.params !== undefined && part.action === undefined)
      complain([...path, 'params'], 'params belong to an action')
  }
  const works = has('run') || has('action')
  for (const key of ['timeout', 'retries'] as const) {
    if (!works && has(key)) complain([key], `${key} needs run or action: this item is done by a human`)
  }
  if (!works && has('on') && !has('verify') && !has('rollback')) complain(['on'], 'on needs something that runs there')
  if (!works && has('informs')) complain(['informs'], 'informs needs run or action: this item is done by a human')
  if (data.rollback && data.irreversible) complain(['irreversible'], 'it has a rollback: then there is a way back')
  if (data.rollback && data.read_only) complain(['rollback'], 'it is read_only: then nothing has to be taken back')
}

function conditionFrom(text: string): Condition | undefined {
  const match = /^\s*\{\{ *([a-z][a-z0-9_]*) *\}\}\s*(?:(==|!=)\s*(.*))?$/s.exec(text.trim())
  const [, param, sign, value = ''] = match ?? []
  if (param === undefined) return undefined
  return sign === undefined ? { param, test: 'set' } : { param, test: sign === '==' ? 'is' : 'is-not', value }
}

function confirmFrom(confirm: BlockData['confirm']): string | true | undefined {
  if (confirm === undefined || confirm === false || confirm === 'no') return undefined
  return confirm === 'yes' ? true : confirm
}

function onlyLooks(work: Work, actions: KnownActions): boolean {
  return work.kind === 'action' && actions.some(({ name, changes }) => name === work.name && !changes)
}
