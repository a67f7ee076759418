/**
 * The host group of the diagnosis: two looks at one machine, each read once and judged from many sides.
 *
 * Here nothing but files is read (and a program where only a program can tell); elsewhere each look is one round trip
 * of one shell script. Both give the same facts through the same parsers, so every finding is the same.
 */
import type { HostReader } from '../../host/types.ts'
import type { Check, CheckContext } from '../types.ts'
import { readDistantSpace } from './distant.ts'
import { readLocalRecords } from './local-records.ts'
import { readLocalVitals, type FirstSample } from './local-vitals.ts'
import { decideRecords, parseRecords, type RecordFacts } from './records.ts'
import { readRemoteRecords } from './remote-records.ts'
import { readRemoteVitals } from './remote-vitals.ts'
import { decideVitals, describeHost, parseVitals, type HostFacts } from './vitals.ts'

export type { HostFacts } from './vitals.ts'
export type { RecordFacts } from './records.ts'

/** What a look needs to know; a CheckContext has it all. */
export interface LookContext {
  readonly host: HostReader
  readonly clock: CheckContext['clock']
  readonly signal: AbortSignal
  readonly timeoutMs: number
  readonly firstSample?: FirstSample | undefined
}

/** A distant file system that has not answered by then is reported as silent; the rest must not wait for it. */
const DISTANT_MS = 1000
/** Left to judge and report after the last program was given up. */
const SPARE_MS = 150

/**
 * CPU, memory, disks, processes and the kernel's tables over a window.
 * @param windowMs how long the window is
 * @throws OpsError UNREACHABLE, TIMEOUT
 */
export async function readHostFacts(context: LookContext, windowMs: number): Promise<HostFacts> {
  const { host, clock, signal, timeoutMs } = context
  const facts = parseVitals(
    host.kind === 'local'
      ? await readLocalVitals({ clock, windowMs, signal, first: context.firstSample })
      : await readRemoteVitals(host, { windowMs, signal, timeoutMs }),
  )
  if (facts.distant.length === 0) return facts
  const options = { clock, signal, timeoutMs: Math.min(DISTANT_MS, timeoutMs / 3) }
  return { ...facts, systems: [...facts.systems, ...(await readDistantSpace(host, facts.distant, options))] }
}

/**
 * Failed units, errors of the last 24 h, OOM kills, the clock.
 * @throws OpsError UNREACHABLE, TIMEOUT
 */
export async function readRecordFacts({ host, clock, signal, timeoutMs }: LookContext): Promise<RecordFacts> {
  if (host.kind === 'local') {
    const options = { signal, timeoutMs: Math.max(100, timeoutMs - SPARE_MS) }
    return parseRecords({ texts: await readLocalRecords(host, options), now: clock.now() })
  }
  const started = clock.monotonic()
  const texts = await readRemoteRecords(host, { signal, timeoutMs })
  return parseRecords({ texts, now: clock.now(), remoteMs: clock.monotonic() - started })
}

const vitals: Check = {
  name: 'host.vitals',
  covers: [
    ...['host.load', 'host.cpu', 'host.pressure', 'host.memory', 'host.swap', 'host.disk', 'host.inodes'],
    ...['host.readonly', 'host.diskio', 'host.processes', 'host.files', 'host.conntrack', 'host.tcp', 'host.reboot'],
  ],
  group: 'host',
  scope: 'machine',
  async run(context) {
    const facts = await readHostFacts(context, context.settings.window)
    return { findings: decideVitals(facts, context.settings.thresholds), facts: describeHost(facts) }
  },
}

const records: Check = {
  name: 'host.records',
  covers: ['host.oom', 'host.units', 'host.logs', 'host.clock'],
  group: 'host',
  scope: 'machine',
  async run(context) {
    return { findings: decideRecords(await readRecordFacts(context), context.settings.thresholds) }
  },
}

export const hostChecks: readonly Check[] = [vitals, records]
