/** What `--dry-run` shows: the plan as data for `--json`, and as lines for people. */
import { printable, printableLine } from '../core/printable.ts'
import { checkPlan, isPointOfNoReturn } from './check.ts'
import type { Plan } from './types.ts'

export interface StepDescription {
  /** From 1. */
  readonly number: number
  readonly on: string
  readonly title: string
  readonly preview?: string
  readonly verified: boolean
  readonly undoable: boolean
  readonly pointOfNoReturn: boolean
}

export interface PlanDescription {
  readonly title: string
  readonly because: string
  /** Each once, in the order of the steps. */
  readonly hosts: readonly string[]
  readonly steps: readonly StepDescription[]
  /** Why the plan would be refused; empty for one that can be applied. */
  readonly problems: readonly string[]
}

export function describePlan(plan: Plan): PlanDescription {
  return {
    title: plan.title,
    because: plan.because,
    hosts: [...new Set(plan.steps.map((step) => step.on))],
    steps: plan.steps.map((step, index) => ({
      number: index + 1,
      on: step.on,
      title: step.title,
      ...(step.preview === undefined ? {} : { preview: step.preview }),
      verified: step.verify !== undefined,
      undoable: step.undo !== undefined,
      pointOfNoReturn: isPointOfNoReturn(step),
    })),
    problems: checkPlan(plan),
  }
}

/** @returns lines for a terminal, without colour; nothing in them can act on it */
export function formatPlan({ title, because, hosts, steps, problems }: PlanDescription): string[] {
  if (steps.length === 0) return [`${printableLine(title)}: nothing to do, ${printableLine(because)}`]
  const hostWidth = Math.max(...hosts.map((host) => host.length))
  const numberWidth = String(steps.length).length
  const indent = ' '.repeat(numberWidth + 4)
  return [
    `${printableLine(title)}, because ${printableLine(because)}`,
    '',
    ...steps.flatMap((step) => [
      `${String(step.number).padStart(numberWidth + 1)}. ${step.on.padEnd(hostWidth)}  ${printableLine(step.title)} (${describeSafety(step)})`,
      ...previewLines(step).map((line) => `${indent}| ${line}`),
    ]),
    '',
    `${count(steps.length, 'step')} on ${count(hosts.length, 'host')}. Nothing has been changed.`,
    ...problems.map((problem) => `This plan would be refused: ${problem}.`),
  ]
}

function describeSafety({ verified, pointOfNoReturn }: StepDescription): string {
  const check = verified ? 'verified' : 'not verified'
  return pointOfNoReturn ? `${check}, POINT OF NO RETURN: nothing before it is undone` : `${check}, can be undone`
}

function previewLines({ preview }: StepDescription): string[] {
  return preview === undefined ? [] : printable(preview).replace(/\n$/, '').split('\n')
}

function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`
}
