/** Jobs with their schedules read; jobs of the same zone share what is known about it. */
import { parseCron } from '../core/cron.ts'
import type { Job, TimedJob } from './types.ts'
import { openZone, type Zone } from './zone.ts'

export function readSchedules(jobs: readonly Job[]): TimedJob[] {
  const zones = new Map<string, Zone>()
  return jobs.map((job) => {
    const zone = zones.get(job.timezone) ?? openZone(job.timezone)
    zones.set(job.timezone, zone)
    return { job, zone, spec: parseCron(job.cron) }
  })
}
