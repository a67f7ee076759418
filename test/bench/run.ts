/** `npm run bench [NAME…]`: every bench of this folder, or the named ones, one after the other. */
import { cpus, totalmem } from 'node:os'
import { readdir } from 'node:fs/promises'
import { printRows } from './print.ts'
import type { BenchRow } from './types.ts'

const FRAME = ['run.ts', 'print.ts', 'types.ts', 'measure.ts', 'databases.ts', 'smtp-child.ts']

const wanted = process.argv.slice(2)
const files = (await readdir(new URL('.', import.meta.url))).filter(
  (file) => file.endsWith('.ts') && !FRAME.includes(file),
)
const chosen = files.filter((file) => wanted.length === 0 || wanted.includes(file.replace(/\.ts$/, '')))
if (chosen.length === 0)
  throw new Error(`no such bench; there are: ${files.map((file) => file.replace('.ts', '')).join(', ')}`)

process.stdout.write(
  `node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB\n`,
)
for (const file of chosen) {
  const { bench } = (await import(new URL(file, import.meta.url).href)) as { bench: () => Promise<BenchRow[]> }
  process.stdout.write(`\n${file.replace(/\.ts$/, '')}\n`)
  printRows(await bench())
}
