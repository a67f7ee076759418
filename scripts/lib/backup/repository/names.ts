/**
 * Where things lie in a repository, and how they are called:
 *
 *   database/app/20261120T020000Z              a backup; a second one of the same second ends in -2
 *   database/app/.20261120T030000Z.partial-812 one that process 812 is writing
 *   database/app/.20261019T020000Z.trash-812   one that process 812 is deleting
 */
import { join } from 'node:path'
import { BACKUP_KINDS, type BackupKind } from '../types.ts'

export const MANIFEST_FILE = 'manifest.json'
export const RECORDS_FILE = 'records.jsonl'
/** Inside a partial: which process writes it. Gone before it is published. */
export const OWNER_FILE = '.owner.json'

export interface BackupId {
  readonly kind: BackupKind
  readonly name: string
  /** `20261120T020000Z`, or `20261120T020000Z-2`. */
  readonly stamp: string
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/
const STAMP = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z(?:-(\d{1,4}))?$/
const HIDDEN = /^\.(\d{8}T\d{6}Z(?:-\d{1,4})?)\.(partial|trash)-(\d+)$/

/** Wall clock milliseconds to `20261120T020000Z`: sortable, and a good file name everywhere. */
export function formatStamp(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+/, '').replace(/[-:]/g, '')
}

/** @returns milliseconds since the epoch; undefined for a text that is no stamp of a real moment */
export function parseStamp(stamp: string): number | undefined {
  const match = STAMP.exec(stamp)
  if (!match) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map(Number)
  const at = Date.UTC(year, month - 1, day, hour, minute, second)
  return formatStamp(at) === stamp.slice(0, 16) ? at : undefined
}

/** @returns undefined for what is no id */
export function parseId(text: string): BackupId | undefined {
  const [kindText = '', name = '', stamp = '', ...rest] = text.split('/')
  const kind = BACKUP_KINDS.find((known) => known === kindText)
  if (!kind || rest.length > 0 || !isName(name) || parseStamp(stamp) === undefined) return undefined
  return { kind, name, stamp }
}

export function formatId({ kind, name, stamp }: BackupId): string {
  return `${kind}/${name}/${stamp}`
}

export function isName(text: string): boolean {
  return NAME.test(text)
}

export function partialName(stamp: string, pid: number): string {
  return `.${stamp}.partial-${pid}`
}

export function trashName(stamp: string, pid: number): string {
  return `.${stamp}.trash-${pid}`
}

export interface HiddenName {
  readonly stamp: string
  readonly what: 'partial' | 'trash'
  readonly pid: number
}

export function parseHiddenName(text: string): HiddenName | undefined {
  const match = HIDDEN.exec(text)
  if (!match) return undefined
  return { stamp: match[1] ?? '', what: match[2] === 'trash' ? 'trash' : 'partial', pid: Number(match[3]) }
}

export function directoryOf(repository: string, { kind, name, stamp }: BackupId): string {
  return join(repository, kind, name, stamp)
}

/** Newest first; of one second, the later number first. */
export function compareStamps(a: string, b: string): number {
  const [first = '', firstNumber = '1'] = a.split('-')
  const [second = '', secondNumber = '1'] = b.split('-')
  return first === second ? Number(secondNumber) - Number(firstNumber) : first < second ? 1 : -1
}
