/** May a list that was just read replace the one that is served? Pure: the reason is logged and tested. */
import { lintEndpointFile, type LintedFile } from '../file/lint.ts'

export interface ListDecision {
  readonly take: boolean
  readonly because: string
}

/** @param text undefined when the file is gone or cannot be read */
export interface ListFacts {
  readonly text: string | undefined
  readonly linted: LintedFile | undefined
  /** What is served now; undefined at the start. */
  readonly served: string | undefined
  readonly allowEmpty: boolean
}

export function decideList({ text, linted, served, allowEmpty }: ListFacts): ListDecision {
  const no = (because: string): ListDecision => ({ take: false, because })
  if (text === undefined || !linted) return no('the file is gone or cannot be read')
  if (text === served) return no('nothing has changed')
  const errors = linted.problems.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) return no(`${errors.length === 1 ? 'one line is' : `${errors.length} lines are`} wrong`)
  if (countHosts(linted) === 0 && !allowEmpty) return no('it names no host')
  if (served !== undefined && !allowEmpty && isCutOff(text, served)) return no('it is the list in use, cut off')
  return { take: true, because: served === undefined ? 'it is the first list' : 'it has changed' }
}

export function countHosts({ file }: LintedFile): number {
  return file.domains.length + file.ips.length
}

/**
 * True for the beginning of the list in use that ends within a line, or leaves a section without its hosts: half-written
 * files look like this. Somebody who takes out the last lines leaves whole lines and no empty section.
 */
function isCutOff(text: string, served: string): boolean {
  if (text.length >= served.length || !served.startsWith(text)) return false
  const endsWithinLine = !/[\r\n]$/.test(text) && !/^[\r\n]/.test(served.slice(text.length))
  if (endsWithinLine) return true
  const [now, before] = [lintEndpointFile(text).file, lintEndpointFile(served).file]
  return (now.domains.length === 0 && before.domains.length > 0) || (now.ips.length === 0 && before.ips.length > 0)
}
