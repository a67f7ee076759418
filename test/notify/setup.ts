/** What tests of notifications have in common: a config from YAML, a journal in memory, a clock that is driven by hand. */
import { validateConfig } from '../../scripts/lib/config/validate.ts'
import { createManualClock, type ManualClock } from '../../scripts/lib/core/clock.ts'
import { redactText } from '../../scripts/lib/core/redact.ts'
import { Secret } from '../../scripts/lib/core/secret.ts'
import { openMemoryJournal } from '../../scripts/lib/journal/index.ts'
import type { Journal } from '../../scripts/lib/journal/types.ts'
import {
  enqueue,
  enqueueRecovery,
  flush,
  readOutbox,
  type Alert,
  type FlushContext,
  type FlushOptions,
  type FlushResult,
  type Recovery,
  type StoredMessage,
} from '../../scripts/lib/notify/index.ts'

export interface Bench extends FlushContext {
  readonly clock: ManualClock
  /** What log channels have printed. */
  readonly printed: Record<string, unknown>[]
  raise(alert?: Partial<Alert>): ReturnType<typeof enqueue>
  recover(recovery?: Partial<Recovery>): ReturnType<typeof enqueueRecovery>
  flush(options?: FlushOptions): Promise<FlushResult>
  /** Oldest first. */
  outbox(): StoredMessage[]
}

export interface BenchOptions {
  readonly secrets?: Readonly<Record<string, string>>
  readonly journal?: Journal
  readonly startMs?: number
}

/** @param yaml the section `notify`, indented or not */
export function setUp(yaml: string, { secrets = {}, journal, startMs }: BenchOptions = {}): Bench {
  const config = validateConfig(`name: control\nnotify:\n${yaml.replace(/^/gm, '  ')}`, 'opskit.yaml')
  const clock = createManualClock(startMs)
  const known: Secret[] = []
  const printed: Record<string, unknown>[] = []
  const context: FlushContext = {
    config,
    clock,
    journal: journal ?? openMemoryJournal({ clock }),
    signal: new AbortController().signal,
    resolveSecret: async (ref) => {
      const name = 'env' in ref ? ref.env : ref.file
      const secret = new Secret(secrets[name] ?? '', `env:${name}`)
      known.push(secret)
      return secret
    },
    redact: (text) => redactText(text, known),
  }
  const print = (line: string) => void printed.push(JSON.parse(line) as Record<string, unknown>)
  return {
    ...context,
    clock,
    printed,
    raise: (alert = {}) => enqueue(context.journal, config, { ...ALERT, ...alert }, { now: clock.now() }),
    recover: (recovery = {}) =>
      enqueueRecovery(context.journal, config, { key: ALERT.key, ...recovery }, { now: clock.now() }),
    flush: (options = {}) => flush(context, { print, ...options }),
    outbox: () => readOutbox(context.journal, { limit: 10_000 }).reverse(),
  }
}

export const ALERT: Alert = {
  key: 'backup:orders',
  severity: 'critical',
  title: 'Backup of orders failed',
  text: 'mariadb-dump ended with 2',
  host: 'web-1',
  action: 'backup.database',
  next: 'npx zx scripts/backup.ts run database/orders',
  tags: ['database'],
  details: [['size', '0 B']],
}
