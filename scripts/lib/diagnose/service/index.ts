/** The checks of what a machine serves, certificates aside: nginx, systemd units, listening ports. */
import type { Config } from '../../config/types.ts'
import type { Check } from '../types.ts'
import { nginxCheck } from './nginx/check.ts'
import { portsCheck } from './ports.ts'
import { unitsCheck } from './units.ts'

/** @returns the checks that have something to look at; nginx and ports always have */
export function serviceChecks(config: Config): Check[] {
  return [nginxCheck, portsCheck, ...(config.diagnose.units.length > 0 ? [unitsCheck] : [])]
}
