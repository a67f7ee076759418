/** Runbooks as tests write them: whole pages, or only what matters of one. */
import { CATALOG } from '../../scripts/lib/catalog.ts'
import { lintRunbook } from '../../scripts/lib/runbook/lint/index.ts'
import { parseRunbook, type ReadRunbook } from '../../scripts/lib/runbook/read/parse.ts'
import type { Complaint, Runbook } from '../../scripts/lib/runbook/types.ts'

export const FILE = '/srv/runbooks/demo.md'

export const FRONT = `id: demo
title: Demo
severity: high
owner: platform team
last_tested: 2026-11-01`

/** A page with this front matter and these items in one phase. */
export function page(items: string, front = ''): string {
  return `---\n${FRONT}\n${front === '' ? '' : `${front}\n`}---\n\n# Demo\n\n## Look\n\n${items}\n`
}

/** A page with one item whose block is this. */
export function blockPage(block: string, front = ''): string {
  const lines = block
    .trim()
    .split('\n')
    .map((line) => (line === '' ? '' : `  ${line}`))
  return page(['- [ ] Do it', '', '  ```yaml', ...lines, '  ```'].join('\n'), front)
}

export function read(text: string, file = FILE): ReadRunbook {
  return parseRunbook(text, file, { actions: CATALOG })
}

/** @throws Error with the complaints when it is broken */
export function runbook(text: string, file = FILE): Runbook {
  const { runbook: found, complaints } = read(text, file)
  if (!found) throw new Error(complaints.map(say).join('\n'))
  return found
}

export const NOW = Date.UTC(2026, 10, 21, 3)

export async function lint(text: string, hosts: readonly string[] = ['web-1', 'web-2']): Promise<Complaint[]> {
  return lintRunbook(read(text), { actions: CATALOG, hosts, now: NOW, testedWithinMs: 180 * 86_400_000 })
}

/** `12:5 what` */
export function say({ place, message }: Complaint): string {
  return `${place.line}:${place.column} ${message}`
}

const MARK = '¦'

/** Takes the mark out of a text. @returns the text, and `line:column` of where it stood */
export function marked(text: string): { readonly text: string; readonly place: string } {
  const before = text.slice(0, text.indexOf(MARK)).split('\n')
  return { text: text.replace(MARK, ''), place: `${before.length}:${(before.at(-1)?.length ?? 0) + 1}` }
}
