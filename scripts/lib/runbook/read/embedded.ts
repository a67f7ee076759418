/** YAML within a Markdown file: read, checked against its schema, and every place told as one of the whole file. */
import { parseYaml, type YamlFile } from '../../config/document.ts'
import { explainIssues, sentenceOf } from '../../config/explain.ts'
import type { Path } from '../../config/walk.ts'
import type { Complaint, Place } from '../types.ts'
import type { Embedded } from './outline.ts'
import type { z } from 'zod'

/** Where a key (or with 'value', what it holds) stands in the file. */
export type PlaceOf = (path: Path, part?: 'key' | 'value') => Place

export interface Section<T> {
  /** Absent: it is wrong, and `complaints` say where. */
  readonly data?: T
  readonly complaints: readonly Complaint[]
  readonly placeOf: PlaceOf
  /** A scalar as it is written. */
  readonly textAt: YamlFile['textAt']
}

/** Complaints about one block; the rest would say the same. */
const MAX_COMPLAINTS = 50

export function readSection<T>(schema: z.ZodType<T>, source: Embedded, file: string): Section<T> {
  const yaml = parseYaml(source.text)
  const place = ({ line, column }: { line: number; column: number }): Place => ({
    file,
    line: source.firstLine + line - 1,
    column: Math.max(1, column + (source.removed[line - 1] ?? 0)),
  })
  const rest = {
    placeOf: (path: Path, part: 'key' | 'value' = 'value') => place(yaml.placeOf(path, part)),
    textAt: yaml.textAt,
  }
  const complain = (at: Place, message: string): Complaint => {
    const hint = hintFor(message, source.text.split('\n')[at.line - source.firstLine] ?? '')
    return { place: at, severity: 'error', message, ...(hint !== undefined && { hint }) }
  }
  if (yaml.problems.length > 0) {
    const complaints = yaml.problems.slice(0, MAX_COMPLAINTS).map((one) => complain(place(one), one.message))
    return { ...rest, complaints }
  }
  const data = yaml.data ?? {}
  const result = schema.safeParse(data)
  if (result.success) return { ...rest, data: result.data, complaints: [] }
  const explained = explainIssues(schema, data, result.error.issues).slice(0, MAX_COMPLAINTS)
  return {
    ...rest,
    complaints: explained.map((one) => complain(rest.placeOf(one.path, one.part), sentenceOf(one))),
  }
}

/** What people forget: braces, a comma or a colon within a text have a meaning in YAML. */
function hintFor(message: string, line: string): string | undefined {
  if (/(?:^|[:[,]|- )\s*\{\{/.test(line)) return 'Put {{…}} in quotes: YAML reads braces.'
  const spaced = /^[^:]* [^:]*: unknown key/.test(message)
  return spaced && /[{[]/.test(line)
    ? 'Put a text that holds a comma in quotes: within braces it ends there.'
    : undefined
}
