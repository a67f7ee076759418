/**
 * The service-level view: which services a compose project should have, and which it has. What the compose file says is
 * read without interpolation: service names, replicas and profiles need none. Each container's own trouble is told by
 * state.ts; here only a service that is missing or down counts.
 */
import { basename, dirname } from 'node:path/posix'
import { messageOf, OpsError } from '../../core/errors.ts'
import { quoteArgv } from '../../core/quote.ts'
import type { CheckFinding } from '../types.ts'
import type { ContainerFacts } from './facts.ts'

export interface ComposeService {
  readonly name: string
  readonly replicas: number
}

export interface ComposeFile {
  readonly path: string
  /** `name:`, else the directory's name as compose makes a project name of it. */
  readonly project: string
  /** Services without a profile, or with one that is always asked for: those that `docker compose up` starts. */
  readonly services: readonly ComposeService[]
}

/** What the operator expects. */
export interface Expectation {
  readonly projects: readonly string[]
  readonly files: readonly ComposeFile[]
}

const CHECK = 'container.project'
const MAX_ROWS = 60

/** @throws OpsError CONFIG_INVALID naming the file and the place when it is not YAML or holds no services */
export async function parseComposeFile(text: string, path: string): Promise<ComposeFile> {
  const { parse } = await import('yaml')
  let content: unknown
  try {
    content = parse(text, { merge: true, logLevel: 'silent' })
  } catch (error) {
    throw new OpsError('CONFIG_INVALID', `${path} is not valid YAML: ${messageOf(error).split('\n')[0]}`, {
      place: path,
    })
  }
  const { name, services } = asRecord(content)
  if (Object.keys(asRecord(services)).length === 0) {
    throw new OpsError('CONFIG_INVALID', `${path} holds no services`, {
      place: path,
      hint: 'Name a compose file in diagnose.containers.compose_files.',
    })
  }
  const plainName = typeof name === 'string' && !name.includes('$') ? name : projectName(basename(dirname(path)))
  const wanted = Object.entries(asRecord(services)).flatMap(([service, raw]) => {
    const { profiles, scale, deploy } = asRecord(raw)
    if (Array.isArray(profiles) && profiles.length > 0) return []
    const replicas = asRecord(deploy)['replicas'] ?? scale
    return [{ name: service, replicas: typeof replicas === 'number' ? replicas : 1 }]
  })
  return { path, project: plainName, services: wanted }
}

/** One finding per project: what runs of it as rows, critical when something that is expected is missing or down. */
export function decideProjects(containers: readonly ContainerFacts[], expected: Expectation): CheckFinding[] {
  const services = containers.filter((container) => container.project !== undefined && !container.oneOff)
  const files = expected.files.map((file) => ({ ...file, project: projectOf(file, services) }))
  const names = [
    ...services.map(({ project }) => project as string),
    ...expected.projects,
    ...files.map(({ project }) => project),
  ]
  return [...new Set(names)].sort().map((project) =>
    decideProject(project, {
      containers: services.filter((container) => container.project === project),
      wanted: files.filter((file) => file.project === project).flatMap((file) => file.services),
      isExpected: expected.projects.includes(project) || files.some((file) => file.project === project),
    }),
  )
}

interface ProjectFacts {
  readonly containers: readonly ContainerFacts[]
  readonly wanted: readonly ComposeService[]
  readonly isExpected: boolean
}

function decideProject(project: string, { containers, wanted, isExpected }: ProjectFacts): CheckFinding {
  const present = [...new Set(containers.map(({ service }) => service ?? '?'))]
  const known = [
    ...new Set([...present, ...wanted.filter(({ replicas }) => replicas > 0).map(({ name }) => name)]),
  ].sort()
  const of = (service: string) => containers.filter((container) => (container.service ?? '?') === service)
  const missing = known.filter((service) => of(service).length === 0)
  const down = known.filter((service) => of(service).length > 0 && !of(service).some(isFine))
  const few = wanted.filter(({ name, replicas }) => of(name).some(isFine) && of(name).filter(isFine).length < replicas)
  const good = known.length - missing.length - down.length
  const base = {
    check: CHECK,
    subject: project,
    lines: rowsOf(known, of),
    measures: [{ label: `${project} services`, value: good, min: 0, max: known.length }],
    ...aboutWorst([...down, ...missing][0], project, containers),
  }
  if (isExpected && known.length === 0) {
    return {
      ...base,
      severity: 'critical',
      title: `compose project ${project} is not here`,
      evidence: 'no container belongs to it',
      cause: 'it was never started on this machine, or taken down',
      next: 'docker compose ls --all',
    }
  }
  const parts = [
    `${good} of ${known.length} services run or are done`,
    ...(missing.length > 0 ? [`missing: ${missing.join(', ')}`] : []),
    ...(down.length > 0 ? [`down: ${down.join(', ')}`] : []),
    ...few.map(({ name, replicas }) => `${name}: ${of(name).filter(isFine).length} of ${replicas} replicas`),
  ]
  const evidence = parts.join('; ')
  if (!isExpected || parts.length === 1) {
    return { ...base, severity: 'ok', title: `compose project ${project}`, evidence }
  }
  const gone = missing.length + down.length
  return {
    ...base,
    severity: gone > 0 ? 'critical' : 'warning',
    title:
      gone > 0
        ? `compose project ${project} lacks ${[...missing, ...down].join(', ')}`
        : `compose project ${project} has too few replicas`,
    evidence,
    cause:
      missing.length > 0
        ? 'it was not started, or removed by hand'
        : 'its containers do not stay up: see the findings about them',
    next: quoteArgv(['docker', 'compose', '-p', project, 'ps', '--all']),
  }
}

/** The service to begin with; the engine names its container so when it has none. */
function aboutWorst(
  service: string | undefined,
  project: string,
  containers: readonly ContainerFacts[],
): Pick<CheckFinding, 'about'> {
  if (service === undefined) return {}
  const own = containers.find((container) => container.service === service)
  const compose = own?.composeFiles[0]
  const container = own?.name ?? `${project}-${service}-1`
  return { about: { service, container, ...(compose !== undefined && { compose }) } }
}

/** A container that serves, or a job that is done. */
function isFine({ state, exitCode, restartPolicy, health }: ContainerFacts): boolean {
  if (state === 'running') return health?.status !== 'unhealthy'
  return state === 'exited' && exitCode === 0 && ['no', 'on-failure'].includes(restartPolicy)
}

function rowsOf(services: readonly string[], of: (service: string) => readonly ContainerFacts[]): string[] {
  const rows = services.flatMap((service) => {
    const containers = of(service)
    if (containers.length === 0) return [[service, 'missing', '', '']]
    return containers.map(({ state, health, restarts, exitCode, image }) => [
      service,
      state === 'running' ? (health ? `${state} (${health.status})` : state) : `${state} (${exitCode})`,
      `${restarts} restarts`,
      image,
    ])
  })
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0))
  const widths = [width(0), width(1), width(2)]
  return rows.slice(0, MAX_ROWS).map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

/** The project that was started with this very file, whatever name it was given; else the file's own. */
function projectOf(file: ComposeFile, containers: readonly ContainerFacts[]): string {
  return containers.find(({ composeFiles }) => composeFiles.includes(file.path))?.project ?? file.project
}

/** As compose makes it: lower case, letters, digits, dashes and underscores, not beginning with the last two. */
function projectName(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, '')
    .replace(/^[_-]+/, '')
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}
