/** What both actions of this room are told: which container, where, and how long it may take. */
import { z } from 'zod'
import type { Limits } from './ready.ts'

const LONGEST_MS = 3_600_000

export const common = {
  container: z
    .string()
    .regex(/^[A-Za-z0-9][\w.-]*$/, 'must be the name of a container')
    .meta({
      description: 'Its name, as docker ps shows it',
    }),
  host: z.string().default('localhost').meta({ description: 'The machine whose Docker runs it (default: this one)' }),
  healthy_within_ms: z
    .int()
    .min(1_000)
    .max(LONGEST_MS)
    .default(90_000)
    .meta({ description: 'It must be well by then, or everything is undone' }),
  running_for_ms: z
    .int()
    .min(0)
    .max(LONGEST_MS)
    .default(10_000)
    .meta({ description: 'Without a health check it is well when it has been running so long without a restart' }),
  stop_within_ms: z
    .int()
    .min(0)
    .max(LONGEST_MS)
    .default(20_000)
    .meta({ description: 'What it has to end by itself before it is killed' }),
}

export interface CommonParams {
  readonly container: string
  readonly host: string
  readonly healthy_within_ms: number
  readonly running_for_ms: number
  readonly stop_within_ms: number
}

/** Until a container that has no health check is called well, it has to have the time to run that long. */
export function limitsOf({ healthy_within_ms: healthyWithinMs, running_for_ms: runningForMs }: CommonParams): Limits {
  return { runningForMs, healthyWithinMs: Math.max(healthyWithinMs, runningForMs + 2_000) }
}

/** One at a time on a container, whichever of the two. */
export function leaseOf({ host, container }: CommonParams): string {
  return `container:${host}:${container}`
}

/** The container that was there before, when another has taken its place. */
export function keptName(name: string): string {
  return `${name}-before`
}

/** The new one, while it waits for its turn. */
export function waitingName(name: string): string {
  return `${name}-opskit-new`
}

/** The newer one, when the one before has come back. */
export function goneName(name: string): string {
  return `${name}-after`
}
