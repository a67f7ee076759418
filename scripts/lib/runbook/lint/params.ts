/** Are the params that a runbook uses there, and are those that are there used; and does none become code. */
import { nearestName } from '../../core/nearest.ts'
import { referencesIn, variableOf, variablesIn } from '../render.ts'
import type { ReadRunbook } from '../read/parse.ts'
import type { Complaint, Param, Place, Runbook, Step } from '../types.ts'
import { sitesOf, type Site } from '../sites.ts'

interface Use {
  readonly name: string
  readonly place: Place
}

export function lintParams(read: ReadRunbook, runbook: Runbook): Complaint[] {
  const uses = usesIn(read, runbook)
  const known = runbook.params.map(({ name }) => name)
  const used = new Set([...uses.map(({ name }) => name), ...runbook.subject])
  return [
    ...uses.filter(({ name }) => !known.includes(name)).map((use) => undefinedParam(use, known)),
    ...runbook.params.filter(({ name }) => !used.has(name)).map((param) => unusedParam(read, param)),
    ...stepsOf(runbook).flatMap((step) => [
      ...sitesOf(step).flatMap((site) => lintCode(read, step, site)),
      ...lintShellArguments(read, step),
      ...lintCondition(read, step, runbook.params),
    ]),
  ]
}

export function stepsOf({ phases }: Pick<Runbook, 'phases'>): Step[] {
  return phases.flatMap(({ steps }) => steps)
}

function usesIn(read: ReadRunbook, runbook: Runbook): Use[] {
  const { file, outline, frontPlaceOf, stepPlaceOf } = read
  return [
    ...referencesIn(runbook.title).map(({ name }) => ({ name, place: frontPlaceOf(['title']) })),
    ...outline.prose.flatMap(({ text, number }) =>
      referencesIn(text).map(({ name, index }) => ({ name, place: { file, line: number, column: index + 1 } })),
    ),
    ...stepsOf(runbook).flatMap((step) => [
      ...sitesOf(step).flatMap(({ text, path, kind }) =>
        (kind === 'script' ? variablesIn(text) : referencesIn(text).map(({ name }) => name)).map((name) => ({
          ...{ name, place: stepPlaceOf(step.number)(path) },
        })),
      ),
      ...(step.when ? [{ name: step.when.param, place: stepPlaceOf(step.number)(['when']) }] : []),
      ...(step.needs ?? []).map((name, index) => ({ name, place: stepPlaceOf(step.number)(['needs', index]) })),
    ]),
  ]
}

function undefinedParam({ name, place }: Use, known: readonly string[]): Complaint {
  const near = nearestName(name, known)
  const hint = near ? `Did you mean "${near}"?` : `Known: ${known.join(', ') || 'none'}. Add it to params.`
  return { place, severity: 'error', message: `there is no param "${name}"`, hint }
}

function unusedParam({ frontPlaceOf }: ReadRunbook, { name }: Param): Complaint {
  const place = frontPlaceOf(['params', name], 'key')
  return { place, severity: 'warning', message: `the param "${name}" is never used`, hint: 'Use it or take it out.' }
}

/** A script is code: text put into it would be code too. */
function lintCode({ stepPlaceOf }: ReadRunbook, { number }: Step, { kind, text, path }: Site): Complaint[] {
  if (kind !== 'script') return []
  return referencesIn(text).map(({ name }) => ({
    place: stepPlaceOf(number)(path),
    severity: 'error',
    message: `nothing is put into a script: {{${name}}} stays as it is`,
    hint: `Write "$${variableOf(name)}", in double quotes.`,
  }))
}

/** `[sh, -c, "rm {{path}}"]`: the value would be read as code. */
function lintShellArguments({ stepPlaceOf }: ReadRunbook, step: Step): Complaint[] {
  const sites = sitesOf(step).filter(({ kind }) => kind === 'argument')
  return sites.flatMap(({ text, path }, index) => {
    const [shell, flag] = [sites[index - 2], sites[index - 1]]
    const [name] = referencesIn(text)
    const isScript = /(?:^|\/)(?:ba|da|a|k|z)?sh$/.test(shell?.text ?? '') && /^-[a-z]*c$/.test(flag?.text ?? '')
    if (!isScript || !name || shell?.path.length !== path.length) return []
    return [
      {
        place: stepPlaceOf(step.number)(path),
        severity: 'error' as const,
        message: `{{${name.name}}} within a script of ${shell.text} would be read as code`,
        hint: `Write run as a text and use "$${variableOf(name.name)}", or pass it behind the script and use "$1".`,
      },
    ]
  })
}

function lintCondition({ stepPlaceOf }: ReadRunbook, { when, number }: Step, params: readonly Param[]): Complaint[] {
  const param = params.find(({ name }) => name === when?.param)
  const value = when?.value
  if (!param || value === undefined || value.includes('{{')) return []
  const possible = param.type === 'boolean' ? ['yes', 'no'] : param.choices
  if (!possible || possible.includes(value)) return []
  const near = nearestName(value, possible)
  return [
    {
      place: stepPlaceOf(number)(['when']),
      severity: 'error',
      message: `${param.name} is never "${value}": it is one of ${possible.join(', ')}`,
      ...(near && { hint: `Did you mean "${near}"?` }),
    },
  ]
}
