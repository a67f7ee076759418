/**
 * What `~/.ssh/config` and `/etc/ssh/ssh_config` say about a host name. The package ssh-config splits the text; which
 * lines apply is decided here, by ssh_config(5): first value wins, `Host` and `Match` patterns, `Include`.
 *
 * `Match exec` and `Match canonical` never match: opskit runs no command to find out how to reach a machine.
 */
import { glob, readFile } from 'node:fs/promises'
import { homedir, userInfo } from 'node:os'
import { isAbsolute, join } from 'node:path'
import type { Line } from 'ssh-config'
import { messageOf, OpsError, systemCode } from '../../core/errors.ts'
import { matchesPatterns } from './patterns.ts'

/** Settings by lower-case keyword; every word of every line that applied, first line first. */
export type SshSettingLines = ReadonlyMap<string, readonly (readonly string[])[]>

export interface SshConfigFile {
  readonly path: string
  readonly lines: readonly ConfigLine[]
}

/** A directive, or a block with the directives that stand in it. */
interface ConfigLine {
  readonly keyword: string
  readonly words: readonly string[]
  readonly block?: readonly ConfigLine[]
}

/** As OpenSSH: an Include that includes itself ends here. */
const MAX_INCLUDE_DEPTH = 16

/**
 * Reads the given file, or the user's and the system's.
 * @param path a file in place of both, as `ssh -F`; it must exist
 * @throws OpsError CONFIG_INVALID, NOT_PERMITTED
 */
export async function readSshConfig(path?: string): Promise<readonly SshConfigFile[]> {
  if (path !== undefined) return [await readFileOf(path, { required: true })]
  const paths = [join(homedir(), '.ssh/config'), '/etc/ssh/ssh_config']
  return Promise.all(paths.map((each) => readFileOf(each, { required: false })))
}

async function readFileOf(path: string, { required }: { required: boolean }): Promise<SshConfigFile> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT' && !required) return { path, lines: [] }
    throw new OpsError(
      code === 'EACCES' ? 'NOT_PERMITTED' : 'CONFIG_INVALID',
      `cannot read ${path}: ${messageOf(error)}`,
      {
        place: path,
        cause: error,
      },
    )
  }
  return { path, lines: await parseLines(text, path, 0) }
}

async function parseLines(text: string, path: string, depth: number): Promise<ConfigLine[]> {
  const { parse } = await import('ssh-config')
  let parsed: readonly Line[]
  try {
    parsed = parse(text)
  } catch (error) {
    throw new OpsError('CONFIG_INVALID', `cannot understand ${path}: ${messageOf(error)}`, {
      place: path,
      cause: error,
    })
  }
  return expand(parsed, path, depth)
}

async function expand(lines: readonly Line[], path: string, depth: number): Promise<ConfigLine[]> {
  const result: ConfigLine[] = []
  for (const line of lines) {
    if (!('param' in line) || line.param === '') continue
    const keyword = line.param.toLowerCase()
    const words = wordsOf(line.value)
    if (keyword === 'include') result.push(...(await includeLines(words, path, depth)))
    else if ('config' in line) result.push({ keyword, words, block: await expand(line.config, path, depth) })
    else result.push({ keyword, words })
  }
  return result
}

function wordsOf(value: string | readonly { readonly val: string }[]): string[] {
  return typeof value === 'string' ? [value] : value.map(({ val }) => val)
}

/** Included files in the order of their names; relative to ~/.ssh, or to /etc/ssh for the system's file. */
async function includeLines(patterns: readonly string[], from: string, depth: number): Promise<ConfigLine[]> {
  if (depth >= MAX_INCLUDE_DEPTH)
    throw new OpsError('CONFIG_INVALID', `too many nested Include in ${from}`, { place: from })
  const base = from.startsWith('/etc/ssh/') ? '/etc/ssh' : join(homedir(), '.ssh')
  const lines: ConfigLine[] = []
  for (const pattern of patterns) {
    const home = pattern.startsWith('~/') ? join(homedir(), pattern.slice(2)) : pattern
    const files: string[] = []
    for await (const file of glob(isAbsolute(home) ? home : join(base, home))) files.push(file)
    for (const file of files.sort()) lines.push(...(await parseLines(await readFile(file, 'utf8'), file, depth + 1)))
  }
  return lines
}

/** Which lines apply to a name. A `Host` block of an included file counts within the block that includes it. */
export function settingsFor(files: readonly SshConfigFile[], alias: string, user?: string): SshSettingLines {
  const settings = new Map<string, string[][]>()
  const visit = (lines: readonly ConfigLine[]) => {
    for (const { keyword, words, block } of lines) {
      if (!block) settings.set(keyword, [...(settings.get(keyword) ?? []), [...words]])
      else if (keyword === 'host' ? matchesPatterns(words, alias) : matchesCriteria(words, { alias, user, settings }))
        visit(block)
    }
  }
  for (const { lines } of files) visit(lines)
  return settings
}

interface MatchContext {
  readonly alias: string
  readonly user: string | undefined
  readonly settings: SshSettingLines
}

function matchesCriteria(words: readonly string[], { alias, user, settings }: MatchContext): boolean {
  const localUser = userInfo().username
  const valueOf: Readonly<Record<string, string>> = {
    host: settings.get('hostname')?.[0]?.[0]?.replaceAll('%h', alias) ?? alias,
    originalhost: alias,
    user: user ?? settings.get('user')?.[0]?.[0] ?? localUser,
    localuser: localUser,
  }
  for (let index = 0; index < words.length; index += 1) {
    const [, negated, criterion = ''] = /^(!?)(.*)$/.exec(words[index]?.toLowerCase() ?? '') ?? []
    if (criterion === 'all') continue
    // One pass is all there is: what a final pass would add applies.
    if (criterion === 'final') continue
    const value = valueOf[criterion]
    index += 1
    const holds = value !== undefined && matchesPatterns((words[index] ?? '').split(','), value)
    if (holds === (negated === '!')) return false
  }
  return true
}
