/** A state directory, a config and runbooks of a test's own, and the command as operators type it. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { opskit, type Ran, type RunOptions } from '../support/opskit.ts'
import { tempDir } from '../support/temp.ts'

export interface Place {
  readonly dir: string
  readonly config: string
  /** Writes `id.md` of a runbook whose phases are given as Markdown. */
  runbook(id: string, body: string, front?: string): void
  run(args: readonly string[], options?: RunOptions): Promise<Ran>
  /** As somebody else, in another shell. */
  as(who: string, args: readonly string[]): Promise<Ran>
  incidents(): string[]
  journalOf(id: string): string
  /** Parsed lines of the journal of an incident. */
  events(id: string): Record<string, unknown>[]
}

export async function openPlace(config: Readonly<Record<string, unknown>> = {}): Promise<Place> {
  const dir = await tempDir('runbook')
  const path = join(dir, 'opskit.yaml')
  mkdirSync(join(dir, 'runbooks'))
  const runbook = { dirs: [join(dir, 'runbooks')], ...(config['runbook'] as object | undefined) }
  writeFileSync(path, JSON.stringify({ ...config, state: { dir: join(dir, 'state') }, runbook }))
  const incidents = join(dir, 'state', 'incidents')
  const run: Place['run'] = (args, { env, ...options } = {}) =>
    opskit('runbook', [...args, '--config', path], { cwd: dir, env: { OPSKIT_USER: 'alice', ...env }, ...options })
  const journalOf = (id: string) => join(incidents, `${id}.jsonl`)
  return {
    ...{ dir, config: path, run, journalOf },
    as: (who, args) => run(args, { env: { OPSKIT_USER: who } }),
    runbook: (id, body, front = '') => writeFileSync(join(dir, 'runbooks', `${id}.md`), formatRunbook(id, body, front)),
    incidents: () =>
      readdirSync(incidents)
        .filter((name) => name.endsWith('.jsonl'))
        .map((name) => name.slice(0, -6))
        .sort(),
    events: (id) =>
      readFileSync(journalOf(id), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  }
}

export function formatRunbook(id: string, body: string, front = ''): string {
  const head = [`id: ${id}`, `title: The runbook ${id}`, 'severity: high', 'owner: ops', 'last_tested: 2026-11-20']
  return `---\n${[...head, front].filter(Boolean).join('\n')}\n---\n\n# ${id}\n\n${body}\n`
}

/** An item with a block; lines of the block as YAML. */
export function item(title: string, block = ''): string {
  const fenced = block
    .trim()
    .split('\n')
    .map((line) => `  ${line}`)
  const lines = block.trim() === '' ? [] : ['', '  ```yaml', ...fenced, '  ```']
  return [`- [ ] ${title}`, ...lines, ''].join('\n')
}
