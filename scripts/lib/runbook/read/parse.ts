/** The text of a runbook as a Runbook, or as everything that is wrong with it. Pure: reads no other file. */
import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { printableLine } from '../../core/printable.ts'
import type { Complaint, Phase, Runbook } from '../types.ts'
import { readStep, type KnownActions } from './block.ts'
import type { PlaceOf } from './embedded.ts'
import { readHead } from './front.ts'
import { readOutline, type Outline, type OutlineProblem } from './outline.ts'

/** Longer than any page somebody reads at 3 a.m. */
export const MAX_BYTES = 256 * 1024
const MAX_STEPS = 1_000

export interface ReadRunbook {
  readonly file: string
  /** As the file's name says it; the front matter may be wrong or say another. */
  readonly id: string
  readonly language: string
  /** Absent: it can't be used, and `complaints` say why. */
  readonly runbook?: Runbook
  readonly complaints: readonly Complaint[]
  readonly outline: Outline
  readonly frontPlaceOf: PlaceOf
  /** By the number of a step; within its block. */
  readonly stepPlaceOf: (number: string) => PlaceOf
}

/** `gateway-down.zh-CN.md` is gateway-down in zh-CN; without a language it is English. Undefined: no runbook's name. */
export function parseFileName(file: string): { readonly id: string; readonly language: string } | undefined {
  const match = /^([a-z][a-z0-9-]*)(?:\.([a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*))?\.md$/.exec(basename(file))
  return match ? { id: match[1] ?? '', language: match[2] ?? 'en' } : undefined
}

/** @param file how messages name it; its last part says id and language */
export function parseRunbook(
  text: string,
  file: string,
  { actions = [] }: { actions?: KnownActions } = {},
): ReadRunbook {
  const outline = readOutline(text)
  const { head, complaints: wrongHead, placeOf: frontPlaceOf } = readHead(outline, file)
  const steps = outline.phases.map(({ items }, phase) =>
    items
      .slice(0, MAX_STEPS)
      .map((item, index) => readStep(item, { file, number: `${phase + 1}.${index + 1}`, actions })),
  )
  const all = steps.flat()
  const places = new Map(all.map(({ step, placeOf }) => [step.number, placeOf]))
  const name = parseFileName(file)
  const complaints = [
    ...outline.problems.map((problem) => complaintFrom(problem, file)),
    ...wrongHead,
    ...all.flatMap((one) => one.complaints),
    ...complainAboutName(head?.id, name?.id, { file, frontPlaceOf }),
    ...complainAboutSize(text, outline, file),
  ].sort((a, b) => a.place.line - b.place.line || a.place.column - b.place.column)
  const phases = outline.phases.map(({ title, text: prose }, index): Phase => ({
    ...{ number: index + 1, title, text: prose },
    steps: (steps[index] ?? []).map(({ step }) => step),
  }))
  const language = name?.language ?? 'en'
  const usable = head && !complaints.some(({ severity }) => severity === 'error')
  return {
    ...{ file, id: name?.id ?? head?.id ?? '', language, complaints, outline, frontPlaceOf },
    ...(usable && { runbook: { ...head, language, intro: outline.intro, phases, file, sha256: sha256(text) } }),
    stepPlaceOf: (number) => places.get(number) ?? frontPlaceOf,
  }
}

function complaintFrom({ line, column, message, severity = 'error', hint }: OutlineProblem, file: string): Complaint {
  return { place: { file, line, column }, severity, message, ...(hint !== undefined && { hint }) }
}

function complainAboutName(
  id: string | undefined,
  expected: string | undefined,
  { file, frontPlaceOf }: { file: string; frontPlaceOf: PlaceOf },
): Complaint[] {
  const message =
    expected === undefined
      ? `"${printableLine(basename(file), 60)}" is no name of a runbook`
      : `the id is "${id}", the file is named ${expected}`
  if (expected !== undefined && (id === undefined || id === expected)) return []
  const hint = 'A runbook is <id>.md; its translation <id>.<language>.md, with the same id.'
  return [{ place: frontPlaceOf(['id']), severity: 'error', message, hint }]
}

function complainAboutSize(text: string, { phases, front }: Outline, file: string): Complaint[] {
  const place = { file, line: 1, column: 1 }
  const items = phases.reduce((sum, phase) => sum + phase.items.length, 0)
  const wrong = (message: string, hint: string): Complaint[] => [{ place, severity: 'error', message, hint }]
  if (text.length > MAX_BYTES) return wrong('the file is larger than 256 KiB', 'Split it into several runbooks.')
  if (items > MAX_STEPS) return wrong(`more than ${MAX_STEPS} items`, 'Split it into several runbooks.')
  if (front && items === 0) return wrong('there is no item', 'Write "- [ ] " and what to do, below a "## " heading.')
  return []
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
