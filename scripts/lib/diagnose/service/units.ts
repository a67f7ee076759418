/**
 * service.unit: are the configured systemd units in the state their type promises (systemctl(1), org.freedesktop.systemd1(5))?
 * All units in one call. Where systemd is not PID 1, processes of those names are looked for, and the finding says that
 * this is all it could see.
 */
import { formatDuration } from '../../core/duration.ts'
import { quoteArgv, type Argv } from '../../core/quote.ts'
import type { Threshold } from '../../config/types.ts'
import type { HostReader } from '../../host/types.ts'
import type { Check, CheckContext, CheckFinding } from '../types.ts'
import { kernelName, readProcesses, type ProcessFacts } from './processes.ts'

export interface UnitFacts {
  /** As configured. */
  readonly unit: string
  readonly loadState: string
  readonly activeState: string
  readonly subState: string
  /** `success`, `exit-code`, `signal`, `timeout`, `oom-kill`, … */
  readonly result: string
  readonly type: string
  readonly exitStatus: number
  /** Automatic restarts since it was last started by hand. */
  readonly restarts: number
  /** When it became active, in ms of the monotonic clock; 0 for never. */
  readonly activeSinceMonotonicMs: number
}

const CHECK = 'service.unit'

const PROPERTIES = [
  'LoadState',
  'ActiveState',
  'SubState',
  'Result',
  'Type',
  'ExecMainStatus',
  'NRestarts',
  'ActiveEnterTimestampMonotonic',
]

/** A unit that restarted many times but has stood for this long has recovered. */
const SETTLED_MS = 3_600_000

/** Units whose main program has another name. */
const PROGRAM_OF: Readonly<Record<string, readonly string[]>> = {
  docker: ['dockerd'],
  mariadb: ['mariadbd', 'mysqld'],
  mysql: ['mysqld', 'mariadbd'],
  postgresql: ['postgres'],
  ssh: ['sshd'],
  apache2: ['apache2', 'httpd'],
  bind9: ['named'],
  named: ['named'],
}

const RESULT_TEXT: Readonly<Record<string, string>> = {
  'exit-code': 'its process ended with an error',
  signal: 'its process was killed by a signal',
  'core-dump': 'its process crashed',
  watchdog: 'it stopped answering its watchdog',
  timeout: 'it took too long to start or stop',
  'oom-kill': 'the kernel killed it for memory',
  'start-limit-hit': 'it failed so often that systemd gave up',
  resources: 'the machine could not give it what it needs',
}

export const unitsCheck: Check = { name: CHECK, group: 'service', scope: 'machine', run: runUnitsCheck }

async function runUnitsCheck({ host, settings, signal }: CheckContext): Promise<{ findings: CheckFinding[] }> {
  const { units, thresholds } = settings
  if (units.length === 0) return { findings: [] }
  const init = await host.get('/proc/1/comm', { maxBytes: 64, signal })
  if (
    Buffer.from(init ?? [])
      .toString()
      .trim() !== 'systemd'
  ) {
    const processes = await readProcesses(host, units.flatMap(programsOf), signal)
    return { findings: units.map((unit) => decideWithoutSystemd(unit, processes)) }
  }
  const [facts, uptime] = await Promise.all([
    readUnits(host, units, signal),
    host.get('/proc/uptime', { maxBytes: 256, signal }),
  ])
  const uptimeMs = Number.parseFloat(Buffer.from(uptime ?? []).toString()) * 1000
  return { findings: facts.map((unit) => decideUnit(unit, { uptimeMs, restarts: thresholds.container_restarts })) }
}

/** @returns one entry per unit, in the order asked for */
export async function readUnits(
  host: HostReader,
  units: readonly string[],
  signal?: AbortSignal,
): Promise<UnitFacts[]> {
  const argv: Argv = ['systemctl', 'show', '--property', PROPERTIES.join(','), '--', ...units]
  const { stdout } = await host.read(argv, signal ? { signal } : {})
  return parseUnits(stdout, units)
}

/** `Key=value` lines, a blank line between units; systemctl answers in the order it was asked. */
export function parseUnits(output: string, units: readonly string[]): UnitFacts[] {
  const blocks = output.trim().split(/\n\s*\n/)
  return units.map((unit, index) => {
    const value = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(blocks[index] ?? '')?.[1] ?? ''
    return {
      unit,
      loadState: value('LoadState'),
      activeState: value('ActiveState'),
      subState: value('SubState'),
      result: value('Result'),
      type: value('Type'),
      exitStatus: Number(value('ExecMainStatus') || 0),
      restarts: Number(value('NRestarts') || 0),
      activeSinceMonotonicMs: Number(value('ActiveEnterTimestampMonotonic') || 0) / 1000,
    }
  })
}

/** @param limits `uptimeMs` is the machine's, on the same clock as `activeSinceMonotonicMs` */
export function decideUnit(
  facts: UnitFacts,
  { uptimeMs, restarts }: { readonly uptimeMs: number; readonly restarts: Threshold },
): CheckFinding {
  const { unit, activeState, subState, loadState } = facts
  const base = { check: CHECK, subject: unit, next: quoteArgv(['systemctl', 'status', unit]) }
  if (loadState === '') return { ...base, severity: 'unknown', title: `${unit}: systemd gave no answer` }
  if (loadState !== 'loaded') {
    const cause =
      loadState === 'masked'
        ? 'someone masked it, so that nothing can start it'
        : 'not installed, or a typing mistake in diagnose.units'
    return {
      ...base,
      severity: 'critical',
      title: `${unit} cannot be started`,
      evidence: `systemd says: ${loadState}`,
      cause,
    }
  }
  const state = `${activeState} (${subState})`
  const cause = RESULT_TEXT[facts.result]
  const evidence = [
    state,
    ...(facts.exitStatus === 0 ? [] : [`exit status ${facts.exitStatus}`]),
    ...(facts.restarts === 0 ? [] : [`${facts.restarts} restarts`]),
  ].join(', ')
  const because = { evidence, ...(cause && { cause }) }
  if (activeState === 'active' || activeState === 'reloading')
    return decideActive(facts, { uptimeMs, restarts, base, evidence })
  if (subState === 'auto-restart')
    return { ...base, ...because, severity: 'critical', title: `${unit} fails and is restarted again and again` }
  if (activeState === 'activating')
    return { ...base, ...because, severity: 'warning', title: `${unit} is still starting` }
  if (facts.type === 'oneshot' && activeState === 'inactive' && facts.result === 'success') {
    return { ...base, severity: 'ok', title: `${unit} has done its work`, evidence }
  }
  const title = activeState === 'failed' ? `${unit} has failed` : `${unit} is not running`
  return {
    ...base,
    ...because,
    severity: 'critical',
    title,
    next: quoteArgv(['journalctl', '-u', unit, '-n', '50', '--no-pager']),
  }
}

function decideActive(
  facts: UnitFacts,
  {
    uptimeMs,
    restarts,
    base,
    evidence,
  }: { uptimeMs: number; restarts: Threshold; base: Omit<CheckFinding, 'severity' | 'title'>; evidence: string },
): CheckFinding {
  const activeForMs = uptimeMs - facts.activeSinceMonotonicMs
  const measures = [{ label: `${facts.unit} restarts`, value: facts.restarts, unit: 'c' as const, min: 0 }]
  if (facts.restarts < restarts.warning || activeForMs > SETTLED_MS) {
    return { ...base, severity: 'ok', title: `${facts.unit} runs`, evidence, measures }
  }
  return {
    ...base,
    severity: facts.restarts >= restarts.critical ? 'critical' : 'warning',
    title: `${facts.unit} keeps being restarted`,
    evidence: `${facts.restarts} restarts, running for ${formatDuration(activeForMs)}; warning from ${restarts.warning}, critical from ${restarts.critical}`,
    cause: 'it crashes after a while: its own log says why',
    next: quoteArgv(['journalctl', '-u', facts.unit, '-n', '50', '--no-pager']),
    measures,
  }
}

/** Never ok and never critical: a process of a name is less than a unit's state. */
export function decideWithoutSystemd(unit: string, processes: readonly ProcessFacts[]): CheckFinding {
  const names = programsOf(unit).map(kernelName)
  const pids = processes.filter((process) => names.includes(process.name) && !process.contained).map(({ pid }) => pid)
  const seen =
    pids.length > 0
      ? `a process of that name runs (pid ${pids.slice(0, 3).join(', ')})`
      : 'no process of that name runs either'
  return {
    check: CHECK,
    subject: unit,
    severity: 'skipped',
    title: `${unit} was skipped, because systemd is not running here`,
    evidence: seen,
  }
}

function programsOf(unit: string): readonly string[] {
  const name = unit.replace(/\.service$/, '').replace(/@.*$/, '')
  return PROGRAM_OF[name] ?? [name]
}
