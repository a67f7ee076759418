/**
 * What is wrong with one container, as one finding that names the root: killed for memory before crash loop before
 * exited before unhealthy. A finished job (exit 0, no restart policy) is fine; so are restarts long ago.
 */
import { formatDuration, formatSize } from '../../core/duration.ts'
import { quoteArgv } from '../../core/quote.ts'
import type { Threshold } from '../../config/types.ts'
import type { CheckFinding } from '../types.ts'
import type { ContainerFacts } from './facts.ts'

export interface ContainerLimits {
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly restarts: Threshold
}

/** Restarts count while the container has not stood this long since the last one. */
const SETTLED_MS = 3_600_000

/** A health check that has not passed once in this time will not: compose's own start periods are a minute or two. */
const STARTING_TOO_LONG_MS = 10 * 60_000

const MAX_EVIDENCE_LENGTH = 200

/** Of `docker run` and of shells: 125-127 by the engine or shell, 128+n by signal n. */
const EXIT_TEXT: Readonly<Record<number, string>> = {
  0: 'a normal end',
  1: 'an error of the program',
  2: 'wrong usage of the program',
  125: 'the engine could not run it',
  126: 'the command cannot be executed',
  127: 'the command was not found',
  130: 'interrupted (SIGINT)',
  134: 'aborted (SIGABRT)',
  137: 'killed (SIGKILL)',
  139: 'crashed (SIGSEGV)',
  143: 'asked to stop (SIGTERM)',
}

const EXIT_CAUSE: Readonly<Record<number, string>> = {
  1: 'the program gave up: its last lines say why',
  126: 'the command of the container is not executable, or is for another architecture',
  127: 'the command of the container is not in its image',
  137: 'it was killed: docker kill, a stop that it did not obey in time, or memory',
  139: 'the program crashed',
}

/** `137: killed (SIGKILL)`; a code without a usual meaning stands alone. */
export function describeExit(code: number): string {
  const text = EXIT_TEXT[code] ?? (code > 128 && code < 160 ? `ended by signal ${code - 128}` : undefined)
  return text ? `${code}: ${text}` : String(code)
}

/** One finding; `ok` carries the restarts as a measure. Log lines are for the caller to add. */
export function decideContainer(facts: ContainerFacts, limits: ContainerLimits): CheckFinding {
  const finding = judge(facts, limits)
  const measures = [
    {
      label: `${facts.name} restarts`,
      value: facts.restarts,
      unit: 'c' as const,
      warn: `~:${limits.restarts.warning}`,
      crit: `~:${limits.restarts.critical}`,
      min: 0,
    },
  ]
  const next = finding.severity === 'ok' ? {} : { next: quoteArgv(['docker', 'logs', '--tail', '50', facts.name]) }
  const [compose] = facts.composeFiles
  const about = {
    ...(facts.service !== undefined && { service: facts.service }),
    ...(compose !== undefined && { compose }),
  }
  return { subject: facts.name, ...next, ...finding, measures, about }
}

type Judgement = Omit<CheckFinding, 'measures'>

function judge(facts: ContainerFacts, limits: ContainerLimits): Judgement {
  switch (facts.state) {
    case 'running':
      return judgeRunning(facts, limits)
    case 'restarting':
      return facts.oomKilled ? killedForMemory(facts, limits) : crashLoop(facts, limits)
    case 'paused':
      return {
        check: 'container.state',
        severity: 'warning',
        title: `${facts.name} is paused`,
        evidence: details(facts, limits.now),
        cause: 'someone froze it; it answers nothing',
        next: quoteArgv(['docker', 'unpause', facts.name]),
      }
    case 'created':
      return judgeCreated(facts, limits)
    case 'removing':
      return {
        check: 'container.state',
        severity: 'warning',
        title: `${facts.name} is being removed`,
        evidence: details(facts, limits.now),
      }
    case 'exited':
    case 'dead':
      return facts.oomKilled ? killedForMemory(facts, limits) : judgeExited(facts, limits)
    default:
      return {
        check: 'container.state',
        severity: 'unknown',
        title: `${facts.name} is in a state that is not known`,
        evidence: facts.state,
      }
  }
}

function judgeRunning(facts: ContainerFacts, { now, restarts }: ContainerLimits): Judgement {
  const upMs = now - (facts.startedAtMs ?? now)
  const { health } = facts
  if (facts.restarts >= restarts.warning && upMs < SETTLED_MS) return crashLoop(facts, { now, restarts })
  if (health?.status === 'unhealthy') return unhealthy(facts, now)
  if (facts.oomKilled) {
    return {
      check: 'container.oom',
      severity: 'warning',
      title: `a process in ${facts.name} was killed for memory`,
      evidence: `${memoryText(facts)}; ${details(facts, now)}`,
      cause: 'the memory limit is too low, or the program leaks',
      next: quoteArgv(['docker', 'stats', '--no-stream', facts.name]),
    }
  }
  if (health?.status === 'starting' && upMs > STARTING_TOO_LONG_MS) {
    return {
      check: 'container.health',
      severity: 'warning',
      title: `${facts.name} has not become healthy since it started`,
      evidence: `starting for ${formatDuration(upMs)}${lastHealth(facts)}; ${details(facts, now)}`,
      cause: 'the health check has never passed: it, or the service, is wrong',
    }
  }
  const healthText = health ? `, ${health.status}` : ''
  return {
    check: 'container.state',
    severity: 'ok',
    title: `${facts.name} runs${healthText}`,
    evidence: details(facts, now),
  }
}

function unhealthy(facts: ContainerFacts, now: number): Judgement {
  const streak = facts.health?.failingStreak ?? 0
  return {
    check: 'container.health',
    severity: 'critical',
    title: `${facts.name} is unhealthy`,
    evidence: `${streak} health checks failed in a row${lastHealth(facts)}; ${details(facts, now)}`,
    cause: 'the process runs, but does not do its work',
    next: quoteArgv(['docker', 'inspect', '--format', '{{json .State.Health}}', facts.name]),
  }
}

function crashLoop(facts: ContainerFacts, { now, restarts }: ContainerLimits): Judgement {
  const looping = facts.state === 'restarting'
  const exit = looping ? `exited ${describeExit(facts.exitCode)}; ` : ''
  return {
    check: 'container.restarts',
    severity: looping || facts.restarts >= restarts.critical ? 'critical' : 'warning',
    title: `${facts.name} crashes and is restarted again and again`,
    evidence: `${exit}${facts.restarts} restarts, warning from ${restarts.warning}, critical from ${restarts.critical}; ${details(facts, now)}`,
    cause: EXIT_CAUSE[facts.exitCode] ?? 'the program ends soon after its start: its last lines say why',
  }
}

function killedForMemory(facts: ContainerFacts, { now }: ContainerLimits): Judgement {
  const again = facts.state === 'restarting' ? ' again and again' : ''
  return {
    check: 'container.oom',
    severity: 'critical',
    title: `${facts.name} was killed for memory${again}`,
    evidence: `exited ${describeExit(facts.exitCode)}, ${memoryText(facts)}, ${facts.restarts} restarts; ${details(facts, now)}`,
    cause: facts.memoryLimitBytes
      ? 'the memory limit is too low, or the program leaks'
      : 'the machine ran out of memory',
    next: quoteArgv(['docker', 'inspect', '--format', '{{json .State}}', facts.name]),
  }
}

function judgeCreated(facts: ContainerFacts, { now }: ContainerLimits): Judgement {
  const failed = facts.error !== ''
  return {
    check: 'container.state',
    severity: failed ? 'critical' : 'warning',
    title: failed ? `${facts.name} could not be started` : `${facts.name} was created but never started`,
    evidence: failed ? `${short(facts.error)}; ${details(facts, now)}` : details(facts, now),
    ...(failed ? {} : { cause: 'its start was interrupted, or waits for another service' }),
    next: quoteArgv(['docker', 'inspect', facts.name]),
  }
}

function judgeExited(facts: ContainerFacts, { now }: ContainerLimits): Judgement {
  const { exitCode, restartPolicy, error, name } = facts
  const ended = facts.finishedAtMs === undefined ? '' : `, ended ${formatDuration(now - facts.finishedAtMs)} ago`
  const evidence = `exited ${describeExit(exitCode)}${ended}${error ? `, ${short(error)}` : ''}; ${details(facts, now)}`
  const base = { check: 'container.state', evidence }
  const isService = !facts.oneOff && ['always', 'unless-stopped'].includes(restartPolicy)
  if (isService) {
    // The engine restarts such a container whatever its exit code, unless someone stopped it.
    const cause = error
      ? 'the engine could not start it again'
      : 'stopped by hand (docker stop), or the engine was restarted without it'
    return {
      ...base,
      severity: 'critical',
      title: `${name} is stopped`,
      cause,
      next: quoteArgv(['docker', 'start', name]),
    }
  }
  if (exitCode === 0 && !error) return { ...base, severity: 'ok', title: `${name} has finished its work` }
  const matters = !facts.oneOff && (facts.project !== undefined || restartPolicy === 'on-failure')
  const cause = EXIT_CAUSE[exitCode]
  return {
    ...base,
    severity: matters ? 'critical' : 'warning',
    title: `${name} ended with an error`,
    ...(cause && { cause }),
  }
}

/** `image shop/api:1.2 (built 12 d ago), up 3 h, restart policy always`. */
function details(facts: ContainerFacts, now: number): string {
  const age = facts.imageCreatedAtMs === undefined ? '' : ` (built ${formatDuration(now - facts.imageCreatedAtMs)} ago)`
  const up =
    facts.state === 'running' && facts.startedAtMs !== undefined
      ? [`up ${formatDuration(now - facts.startedAtMs)}`]
      : []
  const service = facts.project && facts.service ? [`service ${facts.project}/${facts.service}`] : []
  return [`image ${facts.image}${age}`, ...up, ...service, `restart policy ${facts.restartPolicy}`].join(', ')
}

function lastHealth({ health }: ContainerFacts): string {
  if (!health?.last) return ''
  return `, the last with status ${health.last.exitCode}${health.last.output ? `: ${short(health.last.output)}` : ''}`
}

function memoryText({ memoryLimitBytes }: ContainerFacts): string {
  return memoryLimitBytes ? `memory limit ${formatSize(memoryLimitBytes)}` : 'no memory limit'
}

function short(text: string): string {
  return text.length > MAX_EVIDENCE_LENGTH ? `${text.slice(0, MAX_EVIDENCE_LENGTH - 1)}…` : text
}
