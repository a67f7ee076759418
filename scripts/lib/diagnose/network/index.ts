/** The network checks of a config: what this machine depends on, the names it uses, the hosts of its fleet. */
import type { Config } from '../../config/types.ts'
import type { Check } from '../types.ts'
import { fleetChecks } from './fleet.ts'
import { namesOf, networkDnsCheck } from './names.ts'
import { networkTargetCheck } from './target.ts'

/** @returns the checks that have something to look at; `network.target` always has */
export function networkChecks(config: Config): Check[] {
  return [networkTargetCheck, ...(namesOf(config.diagnose).length > 0 ? [networkDnsCheck] : []), ...fleetChecks(config)]
}
