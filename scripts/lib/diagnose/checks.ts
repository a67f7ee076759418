/** All checks of the diagnosis. A new one is a file in its group's folder and a line here. */
import type { Config } from '../config/types.ts'
import { containerCheck } from './container/check.ts'
import { databaseChecks } from './database/check.ts'
import { hostChecks } from './host/index.ts'
import { httpChecks } from './http/check.ts'
import { networkChecks } from './network/index.ts'
import { certificateChecks } from './service/certificates.ts'
import { serviceChecks } from './service/index.ts'
import type { Check } from './types.ts'

/** Checks that exist only when the config names something to look at; `--only` knows them all the same. */
export const CONFIGURED_CHECKS: readonly string[] = [
  'network.dns',
  'network.host',
  'service.unit',
  'service.certificate',
  'http.check',
  ...['database.reachable', 'database.connections', 'database.role', 'database.replication'],
  ...['database.slots', 'database.transactions'],
]

/** @returns the checks that this config asks for, and those that need no config */
export function checksOf(config: Config): Check[] {
  return [
    ...hostChecks,
    ...networkChecks(config),
    ...serviceChecks(config),
    ...certificateChecks(config),
    containerCheck,
    ...httpChecks(config),
    ...databaseChecks(config),
  ]
}
