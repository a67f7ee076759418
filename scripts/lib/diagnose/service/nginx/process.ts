/**
 * nginx.process: does the master run, with workers, and is what runs what is on disk?
 *
 * Not running is critical where the operator expects nginx (`diagnose.nginx.expected`, or named in `diagnose.units`) or
 * where a pid file is left behind, which a proper stop removes. Otherwise nginx is only installed: a warning
 * (docs/decisions/024-nginx-not-running.md).
 */
import { formatDuration } from '../../../core/duration.ts'
import type { CheckFinding } from '../../types.ts'
import type { NginxConfig } from './config-files.ts'
import type { NginxInstance, NginxMaster } from './instance.ts'

export interface NginxProcessFacts {
  readonly instance: NginxInstance
  readonly config: NginxConfig
  /** The pid file's path and the pid in it, when there is one. */
  readonly pidFile: { readonly path: string; readonly pid: number } | undefined
  /** True when the operator's configuration says that nginx must run here. */
  readonly expected: boolean
  /** Milliseconds since the epoch. */
  readonly now: number
}

const CHECK = 'nginx.process'

/** Start times come in ticks after a boot time in whole seconds: closer than this is "at the same time". */
const CLOCK_GRAIN_MS = 3_000

/** Old workers that wait for their last connections are normal for minutes; after an hour they hold memory and old rules. */
const OLD_WORKER_MS = 3_600_000

export function decideNginxProcess(facts: NginxProcessFacts): CheckFinding[] {
  const { master } = facts.instance
  if (!master) return [notRunning(facts)]
  if (master.workers.filter((worker) => !isLeaving(worker)).length === 0) return [withoutWorkers(master)]
  return [
    running(master, facts),
    ...configDrift(master, facts),
    ...binaryDrift(master, facts),
    ...oldWorkers(master, facts),
  ]
}

function notRunning({ instance, pidFile, expected }: NginxProcessFacts): CheckFinding {
  const died = pidFile !== undefined
  const others = instance.others.map((other) => `pid ${other.pid}${other.config ? ` with ${other.config}` : ''}`)
  return {
    check: CHECK,
    severity: expected || died ? 'critical' : 'warning',
    title: died ? 'nginx died' : expected ? 'nginx is not running' : 'nginx is installed but not running',
    evidence: [
      `no master process with ${instance.config}`,
      ...(died ? [`${pidFile.path} still names pid ${pidFile.pid}`] : []),
      ...(others.length > 0 ? [`another nginx runs: ${others.join(', ')}`] : []),
    ].join('; '),
    cause: died
      ? 'it was killed or crashed: a proper stop removes the pid file'
      : 'it was stopped, or it could not start: see nginx.config and the error log',
    next: 'systemctl status nginx || nginx -t',
  }
}

function withoutWorkers(master: NginxMaster): CheckFinding {
  return {
    check: CHECK,
    severity: 'critical',
    title: 'nginx has a master but no worker that serves',
    evidence: `master pid ${master.pid}, ${master.workers.length} workers, all shutting down`,
    cause: 'the workers crash on start, or nginx is being stopped',
    next: 'tail -n 50 /var/log/nginx/error.log',
  }
}

function running(master: NginxMaster, { instance, now }: NginxProcessFacts): CheckFinding {
  const serving = master.workers.filter((worker) => !isLeaving(worker)).length
  const more = instance.others.length > 0 ? `; ${instance.others.length} more with other configurations` : ''
  return {
    check: CHECK,
    severity: 'ok',
    title: 'nginx runs',
    evidence: `master pid ${master.pid} for ${formatDuration(now - master.startedAtMs)}, ${serving} workers${more}`,
    measures: [{ label: 'nginx workers', value: serving, min: 0 }],
  }
}

function configDrift(master: NginxMaster, { config, now }: NginxProcessFacts): CheckFinding[] {
  const loadedAt = Math.max(...master.workers.map((worker) => worker.startedAtMs))
  const newer = config.files.filter((file) => file.modifiedAtMs > loadedAt + CLOCK_GRAIN_MS)
  const newest = newer.toSorted((a, b) => b.modifiedAtMs - a.modifiedAtMs)[0]
  if (!newest) return []
  const more = newer.length > 1 ? ` and ${newer.length - 1} more` : ''
  return [
    {
      check: CHECK,
      subject: 'loaded configuration',
      severity: 'warning',
      title: 'nginx runs an older configuration than the one on disk',
      evidence: `${newest.path}${more} changed ${ago(newest.modifiedAtMs, now)}, newest worker started ${ago(loadedAt, now)}`,
      cause: 'edited without a reload, or the reload was refused: then the error log says why',
      next: 'nginx -t && nginx -s reload',
    },
  ]
}

function binaryDrift(master: NginxMaster, { instance, now }: NginxProcessFacts): CheckFinding[] {
  const changedAt = instance.binary?.changedAtMs ?? 0
  if (changedAt <= master.startedAtMs + CLOCK_GRAIN_MS) return []
  return [
    {
      check: CHECK,
      subject: 'running program',
      severity: 'warning',
      title: 'nginx runs an older program than the one on disk',
      evidence: `${instance.binary?.path} was replaced ${ago(changedAt, now)}, the master started ${ago(master.startedAtMs, now)}`,
      cause: 'upgraded without a restart: security fixes are not in effect yet',
      next: 'nginx -t && systemctl restart nginx',
    },
  ]
}

function oldWorkers(master: NginxMaster, { now }: NginxProcessFacts): CheckFinding[] {
  const serving = master.workers.filter((worker) => !isLeaving(worker))
  const reloadedAt = Math.min(...serving.map((worker) => worker.startedAtMs))
  const leaving = master.workers.filter((worker) => isLeaving(worker) && now - reloadedAt > OLD_WORKER_MS)
  if (leaving.length === 0) return []
  return [
    {
      check: CHECK,
      subject: 'old workers',
      severity: 'warning',
      title: `${leaving.length} old nginx ${leaving.length === 1 ? 'worker' : 'workers'} cannot end`,
      evidence: `pid ${leaving.map(({ pid }) => pid).join(', ')} shutting down since the reload ${ago(reloadedAt, now)}`,
      cause: 'long-lived connections (WebSocket, downloads) keep them; worker_shutdown_timeout is not set',
      next: `ss -tnp | grep pid=${leaving[0]?.pid}`,
    },
  ]
}

function isLeaving(worker: { readonly command: string }): boolean {
  return worker.command.includes('is shutting down')
}

function ago(at: number, now: number): string {
  return `${formatDuration(Math.max(0, now - at))} ago`
}
