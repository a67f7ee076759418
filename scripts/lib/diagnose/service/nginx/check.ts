/**
 * The nginx check: process, configuration, error log, access log and the certificates that the sites use. All five share
 * one look at the machine and at the configuration files, and each keeps its own answer: one that fails or may not look
 * does not silence the others. Findings are named nginx.process, nginx.config, nginx.errors, nginx.access,
 * nginx.certificate.
 */
import { resolve } from 'node:path/posix'
import { isOpsError, messageOf } from '../../../core/errors.ts'
import type { Check, CheckContext, CheckFinding } from '../../types.ts'
import { decideTraffic, readTraffic } from './access.ts'
import { judgeNginxCertificate } from './certificates.ts'
import {
  certificatesOf,
  logFormatsOf,
  logsOf,
  readNginxConfig,
  settingOf,
  type NginxConfig,
  type NginxLog,
} from './config-files.ts'
import { decideNginxConfig, readNginxConfigTest } from './config-test.ts'
import { decideNginxErrors, readNginxErrors } from './errors.ts'
import { readNginxInstance, type NginxInstance } from './instance.ts'
import { decideNginxProcess } from './process.ts'

const MAX_ACCESS_BYTES = 8 * 1024 * 1024
const MAX_ERROR_BYTES = 4 * 1024 * 1024
/** Logs read at most; together they never take more than twice the bytes of one. */
const MAX_LOGS = 8
const MAX_CERTIFICATES = 100

/** nginx -t resolves host names, which can take longer than a check has: it ends before the check's own deadline. */
const CONFIG_TEST_SHARE = 0.8

const DEFAULT_PID_FILE = '/run/nginx.pid'

export const nginxCheck: Check = {
  name: 'nginx',
  covers: ['nginx', 'nginx.process', 'nginx.config', 'nginx.errors', 'nginx.access', 'nginx.certificate'],
  group: 'service',
  scope: 'machine',
  run: runNginxCheck,
}

async function runNginxCheck(context: CheckContext): Promise<{ findings: readonly CheckFinding[] }> {
  const { host, settings, signal } = context
  const instance = await readNginxInstance(host, settings.nginx, signal)
  const expected = settings.nginx.expected || settings.units.some((unit) => /^nginx(\.service)?$/.test(unit))
  if (!instance.binary && !instance.master) return { findings: [absent(instance, expected)] }
  const config = await readNginxConfig(host, instance.config, signal)
  const findings = await Promise.all([
    part('nginx.process', () => processPart(context, { instance, config, expected })),
    part('nginx.config', () => configPart(context, instance)),
    part('nginx.errors', () => errorsPart(context, { instance, config })),
    part('nginx.access', () => accessPart(context, { instance, config })),
    certificatesPart(context, { instance, config }),
  ])
  return { findings: findings.flat() }
}

interface Seen {
  readonly instance: NginxInstance
  readonly config: NginxConfig
}

/** Runs one part; what it may not do or cannot finish becomes its finding. */
async function part(check: string, run: () => Promise<CheckFinding[]>, subject?: string): Promise<CheckFinding[]> {
  try {
    return await run()
  } catch (error) {
    const base = { check, ...(subject && { subject }), evidence: messageOf(error) }
    if (isOpsError(error, 'NOT_PERMITTED')) {
      const next = error.details.hint ?? 'run it as root, or join the group that may read the logs (adm on Debian)'
      return [{ ...base, severity: 'skipped', title: `${check} was skipped, because it needs more rights`, next }]
    }
    const hint = isOpsError(error) ? error.details.hint : undefined
    return [{ ...base, severity: 'unknown', title: `${check} could not finish`, ...(hint && { next: hint }) }]
  }
}

function absent({ containedMasters }: NginxInstance, expected: boolean): CheckFinding {
  const inContainers = containedMasters > 0 ? `; ${containedMasters} run in containers, which container.* looks at` : ''
  if (expected && containedMasters === 0) {
    return {
      check: 'nginx.process',
      severity: 'critical',
      title: 'nginx is expected here but not installed',
      evidence: 'no program of that name, and no process',
      cause:
        'diagnose.nginx.expected or diagnose.units names it; the program may have another name (diagnose.nginx.binary)',
      next: 'command -v nginx',
    }
  }
  return {
    check: 'nginx',
    severity: 'skipped',
    title: `nginx was skipped, because it is not installed here${inContainers}`,
  }
}

async function processPart(context: CheckContext, seen: Seen & { expected: boolean }): Promise<CheckFinding[]> {
  const { instance, config, expected } = seen
  const path = resolve(instance.prefix, settingOf(config, 'pid') ?? DEFAULT_PID_FILE)
  const text = instance.master ? undefined : await context.host.get(path, { maxBytes: 4096, signal: context.signal })
  const pid = Number.parseInt(Buffer.from(text ?? []).toString('latin1'), 10)
  const pidFile = Number.isInteger(pid) ? { path, pid } : undefined
  // A configuration may be named in two ways (links, relative names): the pid file tells which master runs it.
  const master = instance.master ?? instance.others.find((other) => other.pid === pid)
  const others = instance.others.filter((other) => other !== master)
  return decideNginxProcess({
    instance: { ...instance, master, others },
    config,
    pidFile,
    expected,
    now: context.clock.now(),
  })
}

async function configPart({ host, timeoutMs, signal }: CheckContext, instance: NginxInstance): Promise<CheckFinding[]> {
  if (!instance.binary) {
    return [
      {
        check: 'nginx.config',
        severity: 'skipped',
        title: 'nginx -t was skipped, because the program was not found',
        next: 'set diagnose.nginx.binary',
      },
    ]
  }
  const question = { binary: instance.binary.path, config: instance.config, prefix: instance.master?.prefix }
  const test = await readNginxConfigTest(host, question, {
    timeoutMs: Math.round(timeoutMs * CONFIG_TEST_SHARE),
    signal,
  })
  return decideNginxConfig(test, instance.asRoot)
}

async function errorsPart(context: CheckContext, { instance, config }: Seen): Promise<CheckFinding[]> {
  const { host, settings, clock, signal } = context
  const configured = logsOf(config, 'error_log', instance.prefix)
  const logs = chosenLogs(settings.nginx.error_log, configured, '/var/log/nginx/error.log')
  const { zoneOffsetMinutes } = instance
  const maxBytes = shareOf(MAX_ERROR_BYTES, logs.length)
  const question = { recentMs: settings.nginx.recent, now: clock.now(), zoneOffsetMinutes, maxBytes, signal }
  return forEachLog('nginx.errors', logs, async ({ path }) => {
    const log = await readNginxErrors(host, { ...question, path })
    return log && decideNginxErrors(log, settings.thresholds.nginx_errors)
  })
}

async function accessPart(context: CheckContext, { instance, config }: Seen): Promise<CheckFinding[]> {
  const { host, settings, clock, signal } = context
  const configured = logsOf(config, 'access_log', instance.prefix)
  const logs = chosenLogs(settings.nginx.access_log, configured, '/var/log/nginx/access.log')
  const formats = logFormatsOf(config)
  const maxBytes = shareOf(MAX_ACCESS_BYTES, logs.length)
  const question = { recentMs: settings.nginx.recent, now: clock.now(), maxBytes, signal }
  return forEachLog('nginx.access', logs, async ({ path, format }) => {
    const traffic = await readTraffic(host, { ...question, path, format: format && formats.get(format) })
    return traffic && decideTraffic(traffic, settings.thresholds)
  })
}

/** Those that `diagnose.certificates` names are judged there. */
async function certificatesPart(context: CheckContext, { instance, config }: Seen): Promise<CheckFinding[]> {
  const { host, settings, clock } = context
  const named = settings.certificates.flatMap((certificate) => ('file' in certificate ? [certificate.file] : []))
  const used = certificatesOf(config, instance.config).filter(({ certificate }) => !named.includes(certificate))
  const limits = { thresholds: settings.thresholds.certificate_days, now: clock.now() }
  const findings = await Promise.all(
    used
      .slice(0, MAX_CERTIFICATES)
      .map((certificate) =>
        part('nginx.certificate', () => judgeNginxCertificate(host, certificate, limits), certificate.certificate),
      ),
  )
  return findings.flat()
}

/** Judges each log by itself; only when none is there at all, that is said. */
async function forEachLog(
  check: string,
  logs: readonly NginxLog[],
  judge: (log: NginxLog) => Promise<CheckFinding[] | undefined>,
): Promise<CheckFinding[]> {
  const findings = await Promise.all(logs.map((log) => part(check, async () => (await judge(log)) ?? [], log.path)))
  const found = findings.flat()
  return found.length > 0 ? found : [noLog(check, logs)]
}

/** The one the operator names, else those of the configuration, else the usual one. */
function chosenLogs(named: string | undefined, configured: readonly NginxLog[], usual: string): readonly NginxLog[] {
  if (named !== undefined) return [configured.find((log) => log.path === named) ?? { path: named }]
  return configured.length > 0 ? configured.slice(0, MAX_LOGS) : [{ path: usual }]
}

function shareOf(maxBytes: number, logs: number): number {
  return Math.min(maxBytes, Math.floor((maxBytes * 2) / logs))
}

function noLog(check: string, logs: readonly NginxLog[]): CheckFinding {
  return {
    check,
    severity: 'skipped',
    title: `${check} was skipped, because there is no such log file`,
    evidence: logs.map(({ path }) => path).join(', '),
    next: `set diagnose.nginx.${check === 'nginx.errors' ? 'error_log' : 'access_log'}`,
  }
}
