/**
 * Which configuration counts, and reads it: flag, $OPSKIT_CONFIG, ./opskit.yaml, /etc/opskit/opskit.yaml, or none.
 * Without a file the defaults of the schema count; neither the schema nor the YAML parser is loaded for them.
 */
import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, relative, resolve } from 'node:path'
import { OpsError, systemCode } from '../core/errors.ts'
import type { Config } from './types.ts'

export interface LoadOptions {
  /** The value of `--config`. */
  readonly path?: string | undefined
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
}

export interface LoadedConfig {
  readonly config: Config
  /** The absolute path of the file; undefined when there is none and the defaults count. */
  readonly source: string | undefined
  /** Sentences for the operator: nothing is wrong, but something should be looked at. */
  readonly warnings: readonly string[]
}

const SYSTEM_FILE = '/etc/opskit/opskit.yaml'

/**
 * @throws OpsError CONFIG_INVALID (a named file that is missing, a directory, wrong contents: every problem with its
 *   place), NOT_PERMITTED (a file that may not be read)
 */
export async function loadConfig(options: LoadOptions = {}): Promise<LoadedConfig> {
  const { env = process.env, cwd = process.cwd() } = options
  const found = await readFirst(candidates({ ...options, env, cwd }), cwd)
  if (!found) {
    return { config: await readDefaults(), source: undefined, warnings: [] }
  }
  const { validateConfig, secretRefsOf } = await import('./validate.ts')
  const where = { directory: dirname(found.source), home: env.HOME ?? homedir() }
  const config = validateConfig(found.text, shownPath(found.source, cwd), where)
  return { config, source: found.source, warnings: await readWarnings(secretRefsOf(config)) }
}

/**
 * What the schema makes of an empty file, written down by `npm run docs` and held equal by a test: making the schema
 * costs 130 ms, and a look at a machine without a config should not wait for it.
 */
async function readDefaults(): Promise<Config> {
  return JSON.parse(await readFile(new URL('./defaults.json', import.meta.url), 'utf8')) as Config
}

interface Candidate {
  readonly path: string
  /** How it was named; undefined for a usual place, which may be empty. */
  readonly namedBy?: string
}

function candidates({ path, env, cwd }: LoadOptions & { env: NodeJS.ProcessEnv; cwd: string }): Candidate[] {
  if (path !== undefined) return [{ path: resolve(cwd, path), namedBy: '--config' }]
  if (env.OPSKIT_CONFIG) return [{ path: resolve(cwd, env.OPSKIT_CONFIG), namedBy: '$OPSKIT_CONFIG' }]
  return [{ path: resolve(cwd, 'opskit.yaml') }, { path: SYSTEM_FILE }]
}

async function readFirst(
  list: readonly Candidate[],
  cwd: string,
): Promise<{ text: string; source: string } | undefined> {
  for (const { path, namedBy } of list) {
    try {
      return { text: decode(await readFile(path), shownPath(path, cwd)), source: path }
    } catch (error) {
      if (namedBy === undefined && systemCode(error) === 'ENOENT') continue
      throw unreadable(error, shownPath(path, cwd), namedBy)
    }
  }
  return undefined
}

function decode(bytes: Uint8Array, shown: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new OpsError('CONFIG_INVALID', `${shown}: not a text in UTF-8`, {
      place: `${shown}:1:1`,
      hint: `Save it as UTF-8, e.g. iconv -f GB18030 -t UTF-8.`,
      cause,
    })
  }
}

function unreadable(error: unknown, shown: string, namedBy: string | undefined): unknown {
  const named = namedBy === undefined ? '' : ` (named by ${namedBy})`
  const place = `${shown}:1:1`
  switch (systemCode(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new OpsError('CONFIG_INVALID', `${shown}: no such file${named}`, {
        place,
        hint: 'Name another file with --config FILE, or let `init.ts` write one.',
        cause: error,
      })
    case 'EISDIR':
      return new OpsError('CONFIG_INVALID', `${shown}: a directory, not a file${named}`, {
        place,
        hint: `Name the file in it: --config ${shown}/opskit.yaml.`,
        cause: error,
      })
    case 'EACCES':
    case 'EPERM':
      return new OpsError('NOT_PERMITTED', `${shown}: not permitted to read it`, {
        place,
        hint: 'Run as a user who may, or name another file with --config FILE.',
        cause: error,
      })
    default:
      return error
  }
}

/** The path as people name it: relative where it is below the working directory. */
function shownPath(path: string, cwd: string): string {
  const inside = relative(cwd, path)
  return inside === '' || inside.startsWith('..') ? path : inside
}

async function readWarnings(refs: readonly ({ env: string } | { file: string })[]): Promise<string[]> {
  const files = [...new Set(refs.flatMap((ref) => ('file' in ref ? [ref.file] : [])))]
  const warnings = files.map(async (file) => {
    const mode = await stat(file).then(
      (found) => found.mode,
      () => 0,
    )
    return (mode & 0o004) === 0
      ? []
      : [`${file} holds a secret and every user of this machine can read it: chmod 600 ${file}`]
  })
  return (await Promise.all(warnings)).flat()
}
