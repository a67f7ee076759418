/** `runbook list`, `show`, `lint` and `schema`: they look, and print. */
import { stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { CATALOG } from '../catalog.ts'
import { loadConfig } from '../config/load.ts'
import type { Config } from '../config/types.ts'
import { EXIT_CODE_OF } from '../core/exit.ts'
import { createLog } from '../core/log.ts'
import { printable, printableLine } from '../core/printable.ts'
import { brokenRunbook, formatPlace, isError } from '../runbook/complaint.ts'
import { lintRunbooks } from '../runbook/lint/index.ts'
import {
  DEFAULT_LANGUAGE,
  findRunbook,
  listRunbookFiles,
  listRunbooks,
  readAllRunbooks,
  readRunbookFile,
  runbookDirs,
  type FindOptions,
} from '../runbook/read/find.ts'
import type { ReadRunbook } from '../runbook/read/parse.ts'
import type { Complaint, Param, Runbook } from '../runbook/types.ts'
import type { CommonFlags } from './context.ts'
import { print, terminalWidth } from './output.ts'

export interface ListFlags extends CommonFlags {
  readonly lang?: string
}

/** A broken runbook is in the list too: whoever looks for it should find out now. */
export async function printRunbooks(flags: ListFlags): Promise<void> {
  const { search } = await openShelf(flags)
  const all = await listRunbooks(search)
  const ids = [...new Set(all.map(({ id }) => id))]
  const entries = ids.map((id) =>
    entryOf(
      all.filter((read) => read.id === id),
      flags.lang,
    ),
  )
  if (flags.json) return print(JSON.stringify(entries, null, 2))
  if (entries.length === 0) return print('no runbooks: name a directory in runbook.dirs of opskit.yaml')
  const { formatTable } = await import('../report/table.ts')
  const width = terminalWidth()
  const rows = entries.map((entry) => [
    entry.id,
    entry.severity ?? '',
    entry.title ?? 'BROKEN',
    entry.params.map(({ name, required }) => (required ? name : `[${name}]`)).join(' '),
    entry.lastTested ?? 'never',
  ])
  await print(
    [
      formatTable({ columns: ['id', 'severity', 'title', 'params', 'last tested'], rows }, { ...(width && { width }) }),
      ...entries.flatMap(({ broken }) => (broken === undefined ? [] : ['', `broken: ${printableLine(broken, 400)}`])),
      '',
      'next: npx zx scripts/runbook.ts show ID; a param in [brackets] has a default',
    ].join('\n'),
  )
}

interface Entry {
  readonly id: string
  readonly title?: string
  readonly severity?: string
  readonly owner?: string
  readonly mode?: string
  readonly params: readonly ReturnType<typeof paramEntry>[]
  readonly subject?: readonly string[]
  readonly lastTested?: string | null
  readonly languages: readonly string[]
  readonly file: string
  /** The first mistake that keeps it from being started. */
  readonly broken?: string
}

/** @param reads one runbook in all its languages, one at least */
function entryOf(reads: readonly ReadRunbook[], language = DEFAULT_LANGUAGE): Entry {
  const of = (wanted: string) => reads.find((read) => read.language.toLowerCase() === wanted.toLowerCase())
  const original = of(DEFAULT_LANGUAGE) ?? reads[0]
  const shown = of(language)?.runbook ?? original?.runbook
  const facts = { id: original?.id ?? '', languages: reads.map((read) => read.language), file: original?.file ?? '' }
  if (!shown) {
    const first = original?.complaints.find(isError)
    return { ...facts, params: [], ...(first && { broken: `${formatPlace(first.place)}: ${first.message}` }) }
  }
  const { title, severity, owner, mode, subject, params, lastTested = null } = shown
  return { ...facts, ...{ title, severity, owner, mode, subject, lastTested }, params: params.map(paramEntry) }
}

function paramEntry({ name, type, description, default: value, choices }: Param) {
  return {
    ...{ name, type, description, required: value === undefined },
    ...(value !== undefined && { default: value }),
    ...(choices && { choices }),
  }
}

export interface ShowFlags extends CommonFlags {
  readonly lang?: string
}

/** @throws OpsError USAGE, CONFIG_INVALID with the places */
export async function printRunbook(name: string, flags: ShowFlags): Promise<void> {
  const { search } = await openShelf(flags)
  const read = await findRunbook(name, { ...search, language: flags.lang })
  if (!read.runbook) throw brokenRunbook(read.complaints)
  if (flags.json) return print(JSON.stringify(read.runbook, null, 2))
  const [{ formatRunbook }, { createPaint, decideTerminal }] = await Promise.all([
    import('./runbook-text.ts'),
    import('../report/terminal.ts'),
  ])
  const { color, width } = decideTerminal(process.stdout, process.env)
  await print(formatRunbook(inert(read.runbook), { paint: await createPaint(color), width }))
}

/** A file may come from anywhere: nothing in it moves the cursor. */
function inert(runbook: Runbook): Runbook {
  const walk = (value: unknown): unknown => {
    if (typeof value === 'string') return printable(value)
    if (Array.isArray(value)) return value.map(walk)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [printableLine(key), walk(item)]))
  }
  return walk(runbook) as Runbook
}

export type LintFlags = CommonFlags

/** @param names files, directories or ids; none: every runbook @returns the exit code */
export async function lint(names: readonly string[], flags: LintFlags): Promise<number> {
  const { search, config, configured } = await openShelf(flags)
  const reads = names.length === 0 ? await readAllRunbooks(search) : await readNamed(names, search)
  const complaints = await lintRunbooks(reads, {
    actions: CATALOG,
    hosts: configured ? Object.keys(config.hosts) : undefined,
    now: Date.now(),
    testedWithinMs: config.runbook.tested_within,
  })
  const errors = complaints.filter(isError).length
  const counts = { files: reads.length, errors, warnings: complaints.length - errors }
  await print(flags.json ? JSON.stringify(lintJson(counts, complaints), null, 2) : lintText(counts, complaints))
  return errors > 0 ? EXIT_CODE_OF.CONFIG_INVALID : 0
}

/** A file is read with its translations, so that the pair is judged whichever of the two was named. */
async function readNamed(names: readonly string[], search: FindOptions): Promise<ReadRunbook[]> {
  const files = await Promise.all(
    names.map(async (name) => {
      const path = resolve(name)
      if (!name.endsWith('.md') && (await isDirectory(path))) return readAllRunbooks({ ...search, dirs: [path] })
      const read = await findRunbook(name, search)
      const beside = await listRunbookFiles([dirname(read.file)])
      const more = beside.filter(({ id, file }) => id === read.id && file !== read.file)
      return [read, ...(await Promise.all(more.map(({ file }) => readRunbookFile(file, search))))]
    }),
  )
  const all = files.flat()
  return all.filter((read, index) => all.findIndex(({ file }) => file === read.file) === index)
}

interface Counts {
  readonly files: number
  readonly errors: number
  readonly warnings: number
}

function lintJson(counts: Counts, complaints: readonly Complaint[]) {
  const list = complaints.map(({ place, severity, message, hint }) => ({
    ...{ ...place, severity, message },
    ...(hint !== undefined && { hint }),
  }))
  return { valid: counts.errors === 0, ...counts, complaints: list }
}

function lintText({ files, errors, warnings }: Counts, complaints: readonly Complaint[]): string {
  const many = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`
  const verdict = complaints.length === 0 ? 'no mistakes' : `${many(errors, 'mistake')}, ${many(warnings, 'warning')}`
  const lines = complaints.flatMap(({ place, severity, message, hint }) => [
    `${formatPlace(place)}: ${severity === 'warning' ? 'warning: ' : ''}${printableLine(message, 400)}`,
    ...(hint === undefined ? [] : [`  next: ${printableLine(hint, 400)}`]),
  ])
  return [`${verdict} in ${many(files, 'file')}`, ...lines].join('\n')
}

export async function printSchema(): Promise<void> {
  const { runbookJsonSchema } = await import('../runbook/read/schema.ts')
  await print(JSON.stringify(runbookJsonSchema(), null, 2))
}

interface Shelf {
  readonly config: Config
  /** False: there is no opskit.yaml, and the defaults hold. */
  readonly configured: boolean
  readonly search: FindOptions
}

async function openShelf(flags: CommonFlags): Promise<Shelf> {
  const { config, source, warnings } = await loadConfig(flags.config === undefined ? {} : { path: flags.config })
  const log = createLog()
  for (const warning of warnings) log.warn(warning)
  const search = { dirs: runbookDirs(config.runbook.dirs), actions: CATALOG }
  return { config, configured: source !== undefined, search }
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (facts) => facts.isDirectory(),
    () => false,
  )
}
