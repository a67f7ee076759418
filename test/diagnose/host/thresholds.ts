/** The thresholds of an empty configuration, and a process for findings that name one. */
import { diagnoseSection } from '../../../scripts/lib/config/schema/diagnose.ts'
import type { ProcessFacts } from '../../../scripts/lib/diagnose/host/processes.ts'

export const settings = diagnoseSection.parse({})
export const thresholds = settings.thresholds

export function processFacts(facts: Partial<ProcessFacts> = {}): ProcessFacts {
  return { pid: 100, name: 'worker', state: 'S', parentPid: 1, residentBytes: 0, cores: 0, blocked: false, ...facts }
}
