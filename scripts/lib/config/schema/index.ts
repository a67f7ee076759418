/** The whole of opskit.yaml. Each room's section stands in a file of its own; a new section is a file and a line here. */
import { z } from 'zod'
import { backupSection } from './backup.ts'
import { diagnoseSection } from './diagnose.ts'
import { endpointSection } from './endpoint.ts'
import { hostsSection } from './hosts.ts'
import { notifySection } from './notify.ts'
import { runbookSection } from './runbook.ts'
import { scheduleSection } from './schedule.ts'
import { name, path } from './values.ts'

export const configSchema = z
  .strictObject({
    version: z.literal(1).default(1).meta({ description: 'The version of this format' }),
    name: name.optional().meta({ description: 'The name of this machine in reports (default: its host name)' }),
    state: z
      .strictObject({
        dir: path.optional().meta({
          description: 'Journal, leases and history (default /var/lib/opskit for root, else $XDG_STATE_HOME/opskit)',
        }),
      })
      .prefault({})
      .meta({ description: 'Where opskit keeps what it must remember' }),
    hosts: hostsSection.default({}),
    backup: backupSection,
    diagnose: diagnoseSection,
    endpoint: endpointSection,
    notify: notifySection,
    runbook: runbookSection,
    schedule: scheduleSection,
  })
  .meta({ title: 'opskit.yaml', description: 'Configuration of opskit' })

export type Config = z.output<typeof configSchema>
