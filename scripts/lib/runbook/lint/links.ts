/** Do the links of a runbook lead somewhere: files beside it, and headings within them. Other sites are not asked. */
import { readFile, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { systemCode } from '../../core/errors.ts'
import { nearestName } from '../../core/nearest.ts'
import { printableLine } from '../../core/printable.ts'
import { closesFence, matchFence, matchHeading, type FenceLine } from '../read/markdown.ts'
import { splitLines } from '../read/lines.ts'
import type { ProseLine } from '../read/outline.ts'
import type { ReadRunbook } from '../read/parse.ts'
import type { Complaint } from '../types.ts'

interface Link {
  readonly target: string
  readonly line: number
  readonly column: number
}

/** A page that is linked to; a larger one is taken as it is. */
const MAX_PAGE_BYTES = 1024 * 1024
const MAX_HEADING = 1_000

export async function lintLinks({ file, outline }: ReadRunbook): Promise<Complaint[]> {
  const pages = new Map<string, Promise<readonly string[] | undefined>>()
  const told = await Promise.all(
    linksIn(outline.prose).map(async ({ target, line, column }): Promise<Complaint[]> => {
      const wrong = await judge(target, file, pages)
      return wrong ? [{ place: { file, line, column }, severity: 'error', ...wrong }] : []
    }),
  )
  return told.flat()
}

type Wrong = Pick<Complaint, 'message' | 'hint'>

async function judge(
  target: string,
  file: string,
  pages: Map<string, Promise<readonly string[] | undefined>>,
): Promise<Wrong | undefined> {
  if (/^(?:[a-z][a-z0-9+.-]*:|\/\/)/i.test(target) || target.includes('{{')) return undefined
  const shown = printableLine(target, 80)
  if (target.startsWith('/')) return { message: `the link ${shown} leads to the root`, hint: 'Write it relative.' }
  const [path = '', anchor] = target.split('#', 2)
  const to = resolve(dirname(file), decoded(path.split('?')[0] ?? ''))
  const page = path === '' ? file : to
  if (path !== '' && !(await exists(page))) return { message: `the link ${shown} leads nowhere: there is no such file` }
  if (anchor === undefined || anchor === '' || !page.endsWith('.md')) return undefined
  const reading = pages.get(page) ?? anchorsOf(page)
  pages.set(page, reading)
  const anchors = await reading
  if (!anchors || anchors.includes(decoded(anchor).toLowerCase())) return undefined
  const near = nearestName(decoded(anchor), anchors)
  return {
    message: `the link ${shown} leads nowhere: there is no such heading`,
    ...(near && { hint: `Did you mean "#${near}"?` }),
  }
}

/** Inline links, images and definitions; not within code. */
export function linksIn(prose: readonly ProseLine[]): Link[] {
  return prose
    .filter(({ code }) => !code)
    .flatMap(({ text, number }) => {
      const plain = withoutCode(text)
      const inline = plain.matchAll(
        /\]\([ \t]*(?:<([^<>]*)>|((?:[^()\s<]|\([^()\s]*\))[^()\s]*(?:\([^()\s]*\)[^()\s]*)*))/g,
      )
      const defined = plain.matchAll(/^ {0,3}\[[^\]]+\]:[ \t]*(?:<([^<>]*)>|(\S+))/g)
      return [...inline, ...defined].map((match) => {
        const target = match[1] ?? match[2] ?? ''
        return { target, line: number, column: match.index + match[0].lastIndexOf(target) + 1 }
      })
    })
}

/** Code spans as spaces: from one run of backticks to the next as long (CommonMark 6.1). One pass, whatever stands there. */
function withoutCode(text: string): string {
  const runs = [...text.matchAll(/`+/g)].map(({ 0: mark, index }) => ({ mark, start: index, end: index + mark.length }))
  /** By length, the places of the runs in `runs`, the last first. */
  const open = Map.groupBy([...runs.keys()].reverse(), (index) => runs[index]?.mark.length ?? 0)
  let plain = ''
  let from = 0
  runs.forEach(({ mark, start }) => {
    const same = open.get(mark.length)
    same?.pop()
    const close = runs[same?.at(-1) ?? -1]
    if (start < from || !close) return
    plain += text.slice(from, start) + ' '.repeat(close.end - start)
    from = close.end
  })
  return plain + text.slice(from)
}

/** @returns undefined for a page that can't be read as text */
async function anchorsOf(page: string): Promise<readonly string[] | undefined> {
  try {
    const facts = await stat(page)
    if (!facts.isFile() || facts.size > MAX_PAGE_BYTES) return undefined
    return anchorsIn(await readFile(page, 'utf8'))
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return undefined
  }
}

/** The anchors that a Git web page gives the headings: small letters, no punctuation, `-` for spaces, `-1` for the next. */
export function anchorsIn(text: string): string[] {
  const seen = new Map<string, number>()
  let fence: FenceLine | undefined
  return splitLines(text).flatMap(({ text: line }) => {
    if (fence) {
      if (closesFence(line, fence)) fence = undefined
      return []
    }
    fence = matchFence(line)
    const heading = matchHeading(line)
    const own = [...line.matchAll(/<a\s+(?:id|name)="([^"]+)"/g)].map(({ 1: name = '' }) => name.toLowerCase())
    if (!heading) return own
    const slug = slugOf(heading.title)
    const count = seen.get(slug) ?? 0
    seen.set(slug, count + 1)
    return [...own, count === 0 ? slug : `${slug}-${count}`]
  })
}

function slugOf(title: string): string {
  return title
    .slice(0, MAX_HEADING)
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '')
    .replaceAll(' ', '-')
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
