/** The whole of opskit.yaml. Each room's section stands in a file of its own; a new section is a file and a line here. */
import { z } from 'zod'
import { diagnoseSection } from './diagnose.ts'
import { hostsSection } from './hosts.ts'
import { name } from './values.ts'

export const configSchema = z
  .strictObject({
    version: z.literal(1).default(1),
    /** The name of this machine in reports; default: its host name. */
    name: name.optional(),
    state: z
      .strictObject({
        /** Journal, leases and history. Default: /var/lib/opskit for root, else $XDG_STATE_HOME/opskit. */
        dir: z.string().optional(),
      })
      .prefault({}),
    hosts: hostsSection.default({}),
    diagnose: diagnoseSection,
  })
  .meta({ title: 'opskit.yaml', description: 'Configuration of opskit' })

export type Config = z.output<typeof configSchema>
