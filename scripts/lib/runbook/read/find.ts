/** Where runbooks are: the directories of opskit.yaml first, then those that ship. Names are files, so nothing is indexed. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { OpsError, systemCode } from '../../core/errors.ts'
import { nearestName } from '../../core/nearest.ts'
import { printableLine } from '../../core/printable.ts'
import type { KnownActions } from './block.ts'
import { MAX_BYTES, parseFileName, parseRunbook, type ReadRunbook } from './parse.ts'

/** Those that ship with opskit. */
export const SHIPPED_DIR = fileURLToPath(new URL('../../../../runbooks', import.meta.url))

/** English, when nobody asks for another. */
export const DEFAULT_LANGUAGE = 'en'

export interface ReadOptions {
  /** The catalog: an action that only looks makes its step read-only. */
  readonly actions: KnownActions
}

export interface FindOptions extends ReadOptions {
  /** Searched in this order; one found earlier takes the place of one found later. */
  readonly dirs: readonly string[]
  readonly language?: string | undefined
}

/** A runbook's file by what its name says. */
export interface RunbookFile {
  readonly id: string
  readonly language: string
  readonly file: string
}

/** @param configured `runbook.dirs` of opskit.yaml, absolute */
export function runbookDirs(configured: readonly string[]): string[] {
  return [...new Set([...configured, SHIPPED_DIR].map((dir) => resolve(dir)))]
}

/**
 * @returns every runbook's file, of all languages, by id; of an id that is in several directories, those of the first
 * @throws OpsError CONFIG_INVALID for a directory that can't be read
 */
export async function listRunbookFiles(dirs: readonly string[]): Promise<RunbookFile[]> {
  const found: RunbookFile[] = []
  for (const dir of dirs) {
    const taken = new Set(found.map(({ id }) => id))
    found.push(...(await filesIn(dir)).filter(({ id }) => !taken.has(id)))
  }
  return found.sort((a, b) => (a.id === b.id ? (a.language < b.language ? -1 : 1) : a.id < b.id ? -1 : 1))
}

/** Every runbook that can be found, broken ones too, by id; translations follow their original. */
export async function listRunbooks({ dirs, actions }: Omit<FindOptions, 'language'>): Promise<ReadRunbook[]> {
  const files = await listRunbookFiles(dirs)
  return Promise.all(files.map(({ file }) => readRunbookFile(file, { actions })))
}

/** Every runbook of every directory, also those whose place another takes; in the order of the directories. */
export async function readAllRunbooks({ dirs, actions }: Omit<FindOptions, 'language'>): Promise<ReadRunbook[]> {
  const files = (await Promise.all(dirs.map(filesIn))).flat()
  return Promise.all(files.map(({ file }) => readRunbookFile(file, { actions })))
}

/**
 * @param name an id, or the path of a file (it ends in `.md`)
 * @throws OpsError USAGE for an id or a language that is not there, with the nearest; CONFIG_INVALID, NOT_PERMITTED
 */
export async function findRunbook(name: string, options: FindOptions): Promise<ReadRunbook> {
  const { dirs, language = DEFAULT_LANGUAGE } = options
  if (name.endsWith('.md')) return readRunbookFile(resolve(name), options)
  const files = await listRunbookFiles(dirs)
  const own = files.filter(({ id }) => id === name)
  const match = own.find((one) => one.language.toLowerCase() === language.toLowerCase())
  if (match) return readRunbookFile(match.file, options)
  if (own.length > 0) {
    throw new OpsError('USAGE', `${name} is not there in ${printableLine(language, 40)}`, {
      hint: `There is: ${own.map((one) => one.language).join(', ')}.`,
    })
  }
  const near = nearestName(
    name,
    files.map(({ id }) => id),
  )
  throw new OpsError('USAGE', `there is no runbook "${printableLine(name, 60)}"`, {
    hint: near ? `Did you mean "${near}"?` : 'npx zx scripts/runbook.ts list shows them all.',
  })
}

/** @throws OpsError USAGE (no such file), CONFIG_INVALID (no text, too large), NOT_PERMITTED */
export async function readRunbookFile(file: string, options: ReadOptions): Promise<ReadRunbook> {
  return parseRunbook(await readText(file), file, options)
}

/** The text of a file that was named as a runbook. */
async function readText(file: string): Promise<string> {
  const invalid = (message: string, cause?: unknown) =>
    new OpsError('CONFIG_INVALID', `${file}: ${message}`, { place: `${file}:1:1`, cause })
  try {
    const { size, ...facts } = await stat(file).then((found) => ({ size: found.size, isFile: found.isFile() }))
    if (!facts.isFile) throw invalid('is not a file')
    if (size > MAX_BYTES) throw invalid('the file is larger than 256 KiB')
    // A byte order mark stays: the hash of a run is that of the file's bytes.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await readFile(file))
  } catch (error) {
    if (error instanceof OpsError) throw error
    if (error instanceof TypeError) throw invalid('is not UTF-8 text', error)
    const code = systemCode(error) ?? 'failed'
    if (code === 'ENOENT') throw new OpsError('USAGE', `there is no file ${file}`, { cause: error })
    throw new OpsError(code === 'EACCES' ? 'NOT_PERMITTED' : 'CONFIG_INVALID', `cannot read ${file}: ${code}`, {
      place: `${file}:1:1`,
      cause: error,
    })
  }
}

async function filesIn(dir: string): Promise<RunbookFile[]> {
  const names = await readdir(dir).catch((error: unknown) => {
    if (dir === SHIPPED_DIR && systemCode(error) === 'ENOENT') return []
    throw new OpsError('CONFIG_INVALID', `runbook.dirs: cannot read ${dir}: ${systemCode(error) ?? 'failed'}`, {
      hint: 'Make the directory, or take it out of runbook.dirs in opskit.yaml.',
      cause: error,
    })
  })
  return names.sort().flatMap((name) => {
    const parsed = parseFileName(name)
    return parsed ? [{ ...parsed, file: join(dir, name) }] : []
  })
}
