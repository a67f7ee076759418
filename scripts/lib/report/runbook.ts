/** How the runbook of a finding is started: one command, quoted for a shell whatever the params hold. */
import { quoteWord } from '../core/quote.ts'
import type { RunbookLink } from './types.ts'

export function formatRunbookCommand({ id, params }: RunbookLink): string {
  const given = Object.entries(params).map(([name, value]) => ` --param ${quoteWord(name)}=${quoteWord(value)}`)
  return `npx zx scripts/runbook.ts start ${quoteWord(id)}${given.join('')}`
}
