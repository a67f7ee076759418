/**
 * What nginx's configuration files say about logs, certificates and the pid file: the files are read as nginx reads
 * them (`include` globs, sorted, relative to the main file's directory), without nginx itself, so that an unprivileged
 * look and a configuration that nginx refuses still give an answer. Editing is not for this room.
 */
import { glob, readFile, stat } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path/posix'
import { systemCode } from '../../../core/errors.ts'
import type { HostReader } from '../../../host/types.ts'
import { createMark, FRAME_SCRIPT, parseFrames } from '../../frames.ts'
import { parseDirectives, type Directive } from './directives.ts'

export interface NginxConfigFile {
  readonly path: string
  readonly modifiedAtMs: number
  readonly directives: readonly Directive[]
}

export interface NginxConfig {
  /** In the order in which they were read; empty when the main file is not there. */
  readonly files: readonly NginxConfigFile[]
  /** Files that may not be read. */
  readonly unreadable: readonly string[]
  /** The main file's directives with every `include` replaced by what it includes. */
  readonly directives: readonly Directive[]
}

export interface NginxLog {
  readonly path: string
  /** The name of its log_format, where one is named. */
  readonly format?: string
}

export interface NginxCertificate {
  readonly certificate: string
  readonly key?: string
  /** The server names it is used for; empty for one set outside any named server. */
  readonly sites: readonly string[]
  /** `file:line` of the directive. */
  readonly place: string
}

export const USUAL_CONFIG = '/etc/nginx/nginx.conf'

/** Where the packages of distributions, nginx.org, OpenResty and a build from source put it. */
export const DEFAULT_CONFIGS: readonly string[] = [
  USUAL_CONFIG,
  '/usr/local/nginx/conf/nginx.conf',
  '/usr/local/openresty/nginx/conf/nginx.conf',
  '/usr/local/etc/nginx/nginx.conf',
]

const MAX_FILES = 1000
const MAX_FILE_BYTES = 1024 * 1024
const MAX_INCLUDE_LEVELS = 10

/** A section `MTIME PATH` for each file that matches a pattern of "$@" after the mark; `- PATH` for one that may not be read. */
const FILES_SCRIPT = `${FRAME_SCRIPT}
shift
IFS=
for pattern do
  for file in $pattern; do
    [ -f "$file" ] || continue
    if [ -r "$file" ]; then
      begin "$(stat -Lc %Y "$file") $file"
      head -c ${MAX_FILE_BYTES} "$file"
    else
      begin "- $file"
    fi
  done
done
`

interface RawFile {
  readonly path: string
  readonly modifiedAtMs: number
  /** Undefined when it may not be read. */
  readonly text: string | undefined
}

/** Reads `mainPath` and all that it includes; one round trip per level of includes on a remote machine. */
export async function readNginxConfig(host: HostReader, mainPath: string, signal?: AbortSignal): Promise<NginxConfig> {
  const known = new Map<string, NginxConfigFile>()
  const unreadable = new Set<string>()
  const asked = new Set<string>()
  let patterns = [mainPath]
  for (let level = 0; patterns.length > 0 && level <= MAX_INCLUDE_LEVELS; level += 1) {
    patterns.forEach((pattern) => asked.add(pattern))
    const found = await readFiles(host, patterns, signal)
    const fresh = found.filter((file) => !known.has(file.path)).slice(0, MAX_FILES - known.size)
    for (const { path, text, modifiedAtMs } of fresh) {
      if (text === undefined) unreadable.add(path)
      else known.set(path, { path, modifiedAtMs, directives: parseDirectives(text, path) })
    }
    const included = fresh.flatMap((file) => includesOf(known.get(file.path)?.directives ?? [], mainPath))
    patterns = [...new Set(included)].filter((pattern) => !asked.has(pattern))
  }
  const budget = { filesLeft: MAX_FILES }
  const directives = expand(known.get(mainPath)?.directives ?? [], { known, mainPath, level: 0, budget })
  return { files: [...known.values()], unreadable: [...unreadable], directives }
}

/** The value of a directive at the top level, such as `pid`; undefined when it is not set. */
export function settingOf(config: NginxConfig, name: string): string | undefined {
  return config.directives.findLast((directive) => directive.name === name)?.args[0]
}

/** The files that `access_log` or `error_log` name, each once; not `off`, syslog, memory buffers or names with variables. */
export function logsOf(config: NginxConfig, name: 'access_log' | 'error_log', prefix: string): NginxLog[] {
  const logs = new Map<string, NginxLog>()
  walk(config.directives, (directive) => {
    const [target = '', second] = directive.args
    if (directive.name !== name || !isFileName(target)) return
    const path = resolve(prefix, target)
    const format = name === 'access_log' && second && !second.includes('=') ? second : undefined
    if (!logs.has(path)) logs.set(path, { path, ...(format && { format }) })
  })
  return [...logs.values()]
}

/** `log_format` definitions by name. */
export function logFormatsOf(config: NginxConfig): Map<string, string> {
  const formats = new Map<string, string>()
  walk(config.directives, ({ name, args: [format, ...parts] }) => {
    if (name === 'log_format' && format) formats.set(format, parts.filter((part) => !/^escape=/.test(part)).join(''))
  })
  return formats
}

/**
 * The certificate files of all servers, each once. Names with variables, inline data and hardware engines are left out.
 * @param mainPath the main configuration file, to which relative names are relative
 */
export function certificatesOf(config: NginxConfig, mainPath: string): NginxCertificate[] {
  const found = new Map<string, NginxCertificate>()
  const visit = (directives: readonly Directive[], sites: readonly string[]): void => {
    const keys = directives.filter(({ name }) => name === 'ssl_certificate_key').map(({ args }) => args[0] ?? '')
    const certificates = directives.filter(({ name }) => name === 'ssl_certificate')
    certificates.forEach(({ args: [target = ''], file, line }, index) => {
      if (!isFileName(target)) return
      const certificate = resolve(dirname(mainPath), target)
      const key = isFileName(keys[index] ?? '') ? resolve(dirname(mainPath), keys[index] as string) : undefined
      const before = found.get(certificate)
      const merged = [...new Set([...(before?.sites ?? []), ...sites])]
      found.set(
        certificate,
        before ? { ...before, sites: merged } : { certificate, ...(key && { key }), sites, place: `${file}:${line}` },
      )
    })
    for (const { block, name } of directives) if (block) visit(block, name === 'server' ? namesOf(block) : sites)
  }
  visit(config.directives, [])
  return [...found.values()]
}

function namesOf(server: readonly Directive[]): string[] {
  return server
    .filter(({ name }) => name === 'server_name')
    .flatMap(({ args }) => args.filter((arg) => arg !== '_' && arg !== ''))
}

function isFileName(target: string): boolean {
  return (
    target !== '' && target !== 'off' && target !== 'stderr' && !/^(syslog|memory|data|engine|store):|\$/.test(target)
  )
}

function walk(directives: readonly Directive[], visit: (directive: Directive) => void): void {
  for (const directive of directives) {
    visit(directive)
    if (directive.block) walk(directive.block, visit)
  }
}

function includesOf(directives: readonly Directive[], mainPath: string): string[] {
  const patterns: string[] = []
  walk(directives, ({ name, args: [pattern] }) => {
    if (name === 'include' && pattern) patterns.push(resolve(dirname(mainPath), pattern))
  })
  return patterns
}

interface Expansion {
  readonly known: ReadonlyMap<string, NginxConfigFile>
  readonly mainPath: string
  readonly level: number
  /** Shared by the whole expansion: files that include each other many times must not grow without end. */
  readonly budget: { filesLeft: number }
}

function expand(directives: readonly Directive[], expansion: Expansion): Directive[] {
  const { known, mainPath, level, budget } = expansion
  return directives.flatMap((directive) => {
    if (directive.name !== 'include') {
      return directive.block ? [{ ...directive, block: expand(directive.block, expansion) }] : [directive]
    }
    const matches = matcher(resolve(dirname(mainPath), directive.args[0] ?? ''))
    const files = [...known.values()].filter((file) => matches(file.path)).sort((a, b) => (a.path < b.path ? -1 : 1))
    return files.flatMap((file) => {
      if (level >= MAX_INCLUDE_LEVELS || budget.filesLeft-- <= 0) return []
      return expand(file.directives, { ...expansion, level: level + 1 })
    })
  })
}

/** glob(3) as nginx calls it: `*`, `?` and `[…]` within one path component; a leading dot must be written out. */
function matcher(pattern: string): (path: string) => boolean {
  if (!isGlob(pattern)) return (path) => path === pattern
  const source = pattern
    .split('/')
    .map(
      (part) =>
        (/^[*?[]/.test(part) ? '(?!\\.)' : '') +
        part
          .replace(/[.+^${}()|\\]/g, '\\$&')
          .replace(/\*/g, '[^/]*')
          .replace(/\?/g, '[^/]')
          .replace(/\[!/g, '[^'),
    )
    .join('/')
  try {
    const expression = new RegExp(`^${source}$`)
    return (path) => expression.test(path)
  } catch {
    return (path) => path === pattern // An unclosed `[` stands for itself.
  }
}

function isGlob(pattern: string): boolean {
  return /[*?[]/.test(pattern)
}

async function readFiles(host: HostReader, patterns: readonly string[], signal?: AbortSignal): Promise<RawFile[]> {
  if (host.kind === 'local') return (await Promise.all(patterns.map(readLocalPattern))).flat()
  const mark = createMark()
  const { stdout } = await host.read(['sh', '-c', FILES_SCRIPT, 'sh', mark, ...patterns], signal ? { signal } : {})
  return [...parseFrames(stdout, mark)].map(([head, text]) => {
    const space = head.indexOf(' ')
    const seconds = Number(head.slice(0, space))
    const path = head.slice(space + 1)
    if (Number.isNaN(seconds)) return { path, modifiedAtMs: 0, text: undefined }
    return { path, modifiedAtMs: seconds * 1000, text }
  })
}

async function readLocalPattern(pattern: string): Promise<RawFile[]> {
  if (!isGlob(pattern)) return readLocalFile(pattern)
  const paths: string[] = []
  for await (const path of glob(pattern)) {
    if (!basename(path).startsWith('.') || basename(pattern).startsWith('.')) paths.push(path)
    if (paths.length >= MAX_FILES) break
  }
  return (await Promise.all(paths.sort().map(readLocalFile))).flat()
}

async function readLocalFile(path: string): Promise<RawFile[]> {
  try {
    const facts = await stat(path)
    if (!facts.isFile()) return []
    // A file of megabytes is a generated map or geo table: no directive that is of interest here stands in it.
    const text = facts.size > MAX_FILE_BYTES ? '' : await readFile(path, 'utf8')
    return [{ path, modifiedAtMs: facts.mtimeMs, text }]
  } catch (error) {
    return systemCode(error) === 'EACCES' ? [{ path, modifiedAtMs: 0, text: undefined }] : []
  }
}
