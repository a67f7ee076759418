/**
 * The container check: one list, one inspect each, the last log lines of those in trouble. Findings are named
 * container.state, .health, .restarts, .oom and .project.
 */
import { isOpsError, messageOf } from '../../core/errors.ts'
import { openDocker, statusOf } from '../../host/container/docker.ts'
import type { Host } from '../../host/types.ts'
import type { Check, CheckContext, CheckFinding } from '../types.ts'
import { decideProjects, parseComposeFile, type ComposeFile } from './compose.ts'
import type { ContainerEngine } from './engine.ts'
import { mapLimited } from '../../core/map-limited.ts'
import { CONCURRENCY, readContainers, readLastLines, type ContainerFacts } from './facts.ts'
import { decideContainer } from './state.ts'

const MAX_LOGS = 10
const MAX_COMPOSE_BYTES = 1024 * 1024

export const containerCheck: Check = {
  name: 'container',
  covers: [
    ...['container', 'container.state', 'container.health', 'container.restarts', 'container.oom'],
    'container.project',
  ],
  group: 'container',
  scope: 'machine',
  run: runContainerCheck,
}

async function runContainerCheck(context: CheckContext): Promise<{ findings: CheckFinding[] }> {
  const { host, settings, signal, clock, timeoutMs } = context
  const { socket, projects, compose_files: composeFiles } = settings.containers
  if (!host.connect) {
    const title = `containers were skipped, because ${host.name} cannot lead to a Docker engine`
    return { findings: [{ check: 'container', severity: 'skipped', title }] }
  }
  let engine: ContainerEngine
  try {
    engine = await openDocker(host, { socketPath: socket, signal, timeoutMs })
  } catch (error) {
    return { findings: [decideUnreachable(error, projects.length > 0 || composeFiles.length > 0)] }
  }
  const containers = await readContainers(engine, signal)
  const limits = { now: clock.now(), restarts: settings.thresholds.container_restarts }
  const judged = containers.map((container) => ({ container, finding: decideContainer(container, limits) }))
  const [findings, { files, problems }] = await Promise.all([
    withLogs(engine, judged, signal),
    readComposeFiles(host, composeFiles, signal),
  ])
  const none: CheckFinding = {
    check: 'container.state',
    severity: 'ok',
    title: 'the Docker engine answers; it has no containers',
  }
  return {
    findings: [
      ...(containers.length === 0 ? [none] : findings),
      ...problems,
      ...decideProjects(containers, { projects, files }),
    ],
  }
}

/** No engine is a reason to skip, unless the operator expects containers here. */
export function decideUnreachable(error: unknown, isExpected: boolean): CheckFinding {
  const base = { check: 'container', evidence: messageOf(error) }
  if (isOpsError(error, 'NOT_PERMITTED')) {
    return {
      ...base,
      severity: 'skipped',
      title: 'containers were skipped, because the Docker socket may not be used',
      next: 'run it as root, or join the group docker',
    }
  }
  if (isOpsError(error, 'MISSING_TOOL')) {
    if (!isExpected)
      return { ...base, severity: 'skipped', title: 'containers were skipped, because there is no Docker socket' }
    return {
      ...base,
      severity: 'critical',
      title: 'there is no Docker engine, but containers are expected',
      next: 'systemctl status docker',
    }
  }
  if (isOpsError(error, 'UNREACHABLE')) {
    return {
      ...base,
      severity: isExpected ? 'critical' : 'warning',
      title: 'the Docker engine does not run',
      cause: 'its socket is there, but nobody listens on it',
      next: 'systemctl status docker',
    }
  }
  throw error
}

interface Judged {
  readonly container: ContainerFacts
  readonly finding: CheckFinding
}

/** Adds the last log lines to the findings about containers in trouble: the first ten. */
async function withLogs(
  engine: ContainerEngine,
  judged: readonly Judged[],
  signal: AbortSignal,
): Promise<CheckFinding[]> {
  const inTrouble = judged.filter(({ finding }) => finding.severity === 'critical' || finding.severity === 'warning')
  const chosen = inTrouble.slice(0, MAX_LOGS)
  const lines = await mapLimited(chosen, CONCURRENCY, ({ container }) => linesOf(engine, container, signal))
  const linesFor = new Map(chosen.map(({ container }, index) => [container.id, lines[index] ?? []]))
  return judged.map(({ container, finding }) => {
    const last = linesFor.get(container.id) ?? []
    return last.length === 0 ? finding : { ...finding, lines: last }
  })
}

/** A logging driver that cannot be read back (syslog, none) is no reason to lose the finding. */
async function linesOf(engine: ContainerEngine, container: ContainerFacts, signal: AbortSignal): Promise<string[]> {
  try {
    return await readLastLines(engine, container, signal)
  } catch (error) {
    if (statusOf(error) === undefined) throw error
    return [`(no log lines: ${messageOf(error)})`]
  }
}

async function readComposeFiles(
  host: Host,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<{ files: ComposeFile[]; problems: CheckFinding[] }> {
  const files: ComposeFile[] = []
  const problems: CheckFinding[] = []
  for (const path of paths) {
    try {
      const bytes = await host.get(path, { maxBytes: MAX_COMPOSE_BYTES, signal })
      if (bytes) files.push(await parseComposeFile(Buffer.from(bytes).toString('utf8'), path))
      else problems.push(unreadable(path, 'there is no such file'))
    } catch (error) {
      if (!isOpsError(error)) throw error
      problems.push(unreadable(path, error.message))
    }
  }
  return { files, problems }
}

function unreadable(path: string, why: string): CheckFinding {
  return {
    check: 'container.project',
    subject: path,
    severity: 'unknown',
    title: 'a compose file cannot be read',
    evidence: why,
    cause: 'diagnose.containers.compose_files names it',
  }
}
