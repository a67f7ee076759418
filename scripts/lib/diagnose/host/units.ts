/** Has a systemd unit failed. Whether configured units run is asked elsewhere. Source: systemctl(1), `--failed --plain`. */
import { printableLine } from '../../core/printable.ts'
import { quoteWord } from '../../core/quote.ts'
import type { CheckFinding } from '../types.ts'
import { count, measure } from './judge.ts'

export interface FailedUnit {
  readonly name: string
  readonly description: string
}

const SHOWN = 10

/** @returns the failed units; undefined when systemctl gave no answer (`exitCode` not 0) */
export function parseFailedUnits(text: string, exitCode: number): FailedUnit[] | undefined {
  if (exitCode !== 0) return undefined
  return text.split('\n').flatMap((line): FailedUnit[] => {
    const [name, load, active, , ...words] = line.replace(/^[\s●*×]+/, '').split(/\s+/)
    return name && load && active === 'failed' ? [{ name, description: words.join(' ').trim() }] : []
  })
}

/** @param units undefined when systemd runs but did not answer; `'absent'` when it does not run */
export function decideUnits(units: readonly FailedUnit[] | undefined | 'absent'): CheckFinding[] {
  const check = 'host.units'
  if (units === 'absent') return [{ check, severity: 'skipped', title: 'systemd is not running here' }]
  if (units === undefined)
    return [{ check, severity: 'unknown', title: 'systemctl gave no answer', next: 'systemctl --failed' }]
  const measures = [measure('failed_units', units.length)]
  if (units.length === 0) return [{ check, severity: 'ok', title: 'no unit has failed', measures }]
  const shown = units.slice(0, SHOWN).map(({ name, description }, index): CheckFinding => {
    const subject = printableLine(name, 80)
    return {
      check,
      subject,
      severity: 'warning',
      title: `${subject} has failed`,
      evidence: `${printableLine(description, 120) || 'no description'}; ${count(units.length, 'failed unit')}, warning from 1`,
      next: `systemctl status ${quoteWord(name)}; journalctl -u ${quoteWord(name)} -n 50`,
      ...(index === 0 && { measures }),
    }
  })
  if (units.length <= SHOWN) return shown
  const more = units.length - SHOWN
  return [
    ...shown,
    {
      check,
      severity: 'warning',
      title: `${count(more, 'more unit has', 'more units have')} failed`,
      next: 'systemctl --failed',
    },
  ]
}
