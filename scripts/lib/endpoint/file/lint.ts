/**
 * What is wrong with an endpoint list, by line, and what it means when read strictly. An error is something that the
 * reference parser silently loses or turns into an address that cannot work; a list with errors is not served.
 */
import { judgeHost } from './host.ts'
import { readLines, type FileLine, type Section } from './lines.ts'
import type { EndpointFile } from './parse.ts'

export interface LintProblem {
  /** From 1; 0 for the file as a whole. */
  readonly line: number
  readonly severity: 'error' | 'warning'
  readonly message: string
  readonly hint?: string
}

export interface LintedFile {
  /** Read strictly: a byte order mark is skipped and IPv6 addresses have brackets. The valid items only. */
  readonly file: EndpointFile
  /** In the order of the lines. */
  readonly problems: readonly LintProblem[]
}

/** Clients hold a short list; a file beyond this is not one. */
export const MAX_FILE_BYTES = 256 * 1024
const MAX_HOSTS = 1_000
/** More would not be read. */
const MAX_PROBLEMS = 200

const HEADER_OF: Readonly<Record<Section, string>> = { domains: 'DomainList:', ips: 'IPList:' }

export function lintEndpointFile(text: string): LintedFile {
  const problems: LintProblem[] = []
  const add = (line: number, severity: LintProblem['severity'], message: string, hint?: string) => {
    if (problems.length < MAX_PROBLEMS) problems.push({ line, severity, message, ...(hint !== undefined && { hint }) })
  }
  if (text.startsWith('\ufeff')) {
    add(1, 'warning', 'a byte order mark: other parsers lose the first section', 'Save it as UTF-8 without BOM.')
  }
  const found: Record<Section, string[]> = { domains: [], ips: [] }
  const firstLine = new Map<string, number>()
  for (const line of readLines(text.replace(/^\ufeff/, ''))) {
    if (line.kind === 'section') lintHeader(line, add)
    if (line.kind !== 'items') continue
    if (line.section === undefined || isHeaderLike(line.text)) {
      add(line.number, 'error', ...strayLine(line))
      continue
    }
    for (const item of line.items) {
      const host = lintItem(item, { number: line.number, section: line.section }, add)
      if (host === undefined) continue
      const before = firstLine.get(host.toLowerCase())
      if (before === undefined) firstLine.set(host.toLowerCase(), line.number)
      else add(line.number, 'warning', `${host} stands in line ${before} already`)
      found[line.section].push(host)
    }
  }
  const count = found.domains.length + found.ips.length
  if (count > MAX_HOSTS) add(0, 'error', `${count} hosts; at most ${MAX_HOSTS} are served`)
  return { file: found, problems }
}

/** `line 3: …`, as it is shown and logged. */
export function formatProblem({ line, message, hint }: LintProblem, path: string): string {
  const place = line === 0 ? path : `${path}:${line}`
  return `${place}: ${message}${hint === undefined ? '' : `. ${hint}`}`
}

type Add = (line: number, severity: LintProblem['severity'], message: string, hint?: string) => void

function lintHeader({ number, rest, section }: Extract<FileLine, { kind: 'section' }>, add: Add): void {
  if (rest === '' || rest.startsWith('#')) return
  add(number, 'error', `what stands after ${HEADER_OF[section]} is lost`, 'Begin the list on the next line.')
}

/** A line that was meant to begin a section: `DomainList :`, `IPList：`, `Domains:`. */
function isHeaderLike(text: string): boolean {
  return /^(?:domain|ip)\s*list\s*(?:[:：]|$)/iu.test(text) || /^\p{L}[\p{L} _-]*\s*[:：]$/u.test(text)
}

function strayLine({ text }: { readonly text: string }): [message: string, hint: string] {
  if (isHeaderLike(text))
    return [`"${text}" begins no section`, 'Write DomainList: or IPList:, with no space before ":".']
  return ['it stands before any section and is lost', 'Put DomainList: or IPList: above it.']
}

/** @returns the host as it is served; undefined when it is none */
function lintItem(item: string, at: { number: number; section: Section }, add: Add): string | undefined {
  const verdict = judgeHost(item)
  if (!verdict.ok) {
    add(at.number, 'error', `${shown(item)}: ${verdict.because}`, verdict.hint)
    return undefined
  }
  if (verdict.note !== undefined) add(at.number, 'warning', `${shown(item)}: ${verdict.note}`)
  const belongs: Section = verdict.kind === 'address' ? 'ips' : 'domains'
  if (belongs !== at.section) add(at.number, 'warning', `${shown(item)} belongs under ${HEADER_OF[belongs]}`)
  return verdict.host
}

function shown(item: string): string {
  return item.length > 80 ? `${item.slice(0, 79)}…` : item
}
