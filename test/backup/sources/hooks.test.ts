import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { withHooks } from '../../../scripts/lib/backup/hooks.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'
import { tempDir } from '../../support/temp.ts'

describe('commands around a backup', () => {
  const append = (path: string, word: string) => ({
    run: ['sh', '-c', `echo "$2" >> "$1"`, 'hook', path, word],
    timeout: 5_000,
  })
  const failing = { run: ['false'], timeout: 5_000 }

  async function runHooks(
    before: (path: string) => unknown[],
    work: (path: string) => Promise<void>,
    after?: unknown[],
  ) {
    const path = join(await tempDir('hooks'), 'log')
    const warnings: string[] = []
    const outcome = await withHooks(
      {
        host: openLocalHost(),
        hooks: { before: before(path) as never, after: [...((after ?? []) as never[]), append(path, 'after')] },
        signal: new AbortController().signal,
        onWarning: (message) => warnings.push(message),
      },
      () => work(path),
    ).then(
      () => 'done',
      (error: Error) => error.message,
    )
    return { outcome, log: existsSync(path) ? await readFile(path, 'utf8') : '', warnings }
  }

  it('run before and after', async () => {
    const { log } = await runHooks(
      (path) => [append(path, 'before')],
      async () => undefined,
    )
    expect(log).toBe('before\nafter\n')
  })

  it('after runs although the backup failed, and the failure stays', async () => {
    const { outcome, log } = await runHooks(
      () => [],
      () => Promise.reject(new Error('the dump failed')),
    )
    expect({ outcome, log }).toEqual({ outcome: 'the dump failed', log: 'after\n' })
  })

  it('no backup is made when a command before it fails', async () => {
    let worked = false
    const { outcome, log } = await runHooks(
      () => [failing],
      async () => void (worked = true),
    )
    expect({ worked, outcome, log }).toEqual({
      worked: false,
      outcome: '"false" on localhost ended with status 1',
      log: 'after\n',
    })
  })

  it('a failed command afterwards is a warning, and the next one runs', async () => {
    const { outcome, log, warnings } = await runHooks(
      () => [],
      async () => undefined,
      [failing],
    )
    expect({ outcome, log, warnings }).toEqual({
      outcome: 'done',
      log: 'after\n',
      warnings: ['"false" on localhost ended with status 1'],
    })
  })

  it('one that takes too long is ended', async () => {
    const { outcome } = await runHooks(
      () => [{ run: ['sleep', '60'], timeout: 50 }],
      async () => undefined,
    )
    expect(outcome).toMatch(/sleep 60.*took longer than 50 ms/)
  })
})
