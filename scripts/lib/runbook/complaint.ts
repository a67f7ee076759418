/** What is wrong with a runbook, as text and as the error that keeps it from being started. */
import { isAbsolute, relative } from 'node:path'
import { OpsError } from '../core/errors.ts'
import { printableLine } from '../core/printable.ts'
import type { Complaint, Place } from './types.ts'

/** Complaints told in one error; the rest are counted. */
const MAX_TOLD = 50

/** `runbooks/disk-full.md:12:5`; a file below the current directory by its relative path. */
export function formatPlace({ file, line, column }: Place, cwd = process.cwd()): string {
  const near = relative(cwd, file)
  return `${isAbsolute(file) && !near.startsWith('..') ? near : file}:${line}:${column}`
}

export function isError({ severity }: Complaint): boolean {
  return severity === 'error'
}

/**
 * @param complaints one error or more
 * @returns OpsError CONFIG_INVALID with a line for each error, its place first
 */
export function brokenRunbook(complaints: readonly Complaint[]): OpsError {
  const problems = complaints.filter(isError).map(({ place, message }) => ({
    place: formatPlace(place),
    message: printableLine(message, 400),
  }))
  const lines = problems.slice(0, MAX_TOLD).map(({ place, message }) => `${place}: ${message}`)
  if (problems.length > MAX_TOLD) lines.push(`… and ${problems.length - MAX_TOLD} more`)
  const hint = complaints.find((one) => isError(one) && one.hint !== undefined)?.hint
  return new OpsError('CONFIG_INVALID', lines.join('\n'), {
    place: problems[0]?.place ?? '',
    problems: problems.slice(0, MAX_TOLD),
    hint: hint ?? 'npx zx scripts/runbook.ts lint tells everything.',
  })
}
