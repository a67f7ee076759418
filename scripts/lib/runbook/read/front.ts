/** The front matter of a runbook as its head: id, params with typed defaults, roles, timers. */
import { messageOf } from '../../core/errors.ts'
import type { Path } from '../../config/walk.ts'
import { parseParamValue } from '../params.ts'
import type { Complaint, Param, Runbook, Timer } from '../types.ts'
import { readSection, type PlaceOf, type Section } from './embedded.ts'
import type { Outline } from './outline.ts'
import { frontSchema, type FrontData } from './schema.ts'

export type Head = Omit<Runbook, 'language' | 'intro' | 'phases' | 'file' | 'sha256'>

export interface ReadHead {
  /** Absent: it is wrong, and `complaints` say where. */
  readonly head?: Head
  readonly complaints: readonly Complaint[]
  readonly placeOf: PlaceOf
}

export function readHead({ front }: Outline, file: string): ReadHead {
  if (!front) return { complaints: [], placeOf: () => ({ file, line: 1, column: 1 }) }
  const section = readSection(frontSchema, front, file)
  const { data, placeOf } = section
  if (!data) return section
  const complaints: Complaint[] = []
  const complain = (path: Path, message: string) => {
    complaints.push({ place: placeOf(path), severity: 'error', message })
  }
  return { head: headFrom(section, data, complain), complaints, placeOf }
}

function headFrom(section: Section<FrontData>, data: FrontData, complain: (path: Path, message: string) => void): Head {
  const { id, title, severity, owner, mode, roles, subject } = data
  const params = Object.entries(data.params).map(([name, param]): Param => {
    const path = ['params', name]
    const choices = param.choices?.map((one, index) => section.textAt([...path, 'choices', index]) ?? String(one))
    if (param.type === 'choice' && !choices) complain(path, `${name}: a choice needs choices`)
    if (param.type !== 'choice' && choices) complain([...path, 'choices'], `${name}: only a choice has choices`)
    const bare: Param = {
      ...{ name, type: param.type, description: param.description },
      ...(param.type === 'choice' && { choices: choices ?? [] }),
    }
    if (param.default === undefined) return bare
    const written =
      typeof param.default === 'string'
        ? param.default
        : (section.textAt([...path, 'default']) ?? String(param.default))
    // Nothing, whatever the type: it may be left out.
    if (written === '') return { ...bare, default: '' }
    try {
      return { ...bare, default: parseParamValue(bare, written) }
    } catch (error) {
      complain([...path, 'default'], `the default of ${messageOf(error)}`)
      return bare
    }
  })
  for (const [index, name] of subject.entries()) {
    if (!params.some((param) => param.name === name)) complain(['subject', index], `there is no param "${name}"`)
  }
  return {
    ...{ id, title, severity, owner, mode, roles, subject, params },
    ...(data.last_tested !== undefined && { lastTested: data.last_tested }),
    ...(data.timers && { timers: timersFrom(data.timers, complain) }),
  }
}

function timersFrom(
  timers: NonNullable<FrontData['timers']>,
  complain: (path: Path, message: string) => void,
): Timer[] {
  return timers.map(({ name, title, after, stopped_by: stoppedBy }, index) => {
    if (timers.findIndex((other) => other.name === name) !== index) {
      complain(['timers', index, 'name'], `another timer is named "${name}"`)
    }
    if (after === 0) complain(['timers', index, 'after'], 'a timer needs time: it would fire at once')
    return { name, title, afterMs: after, stoppedBy }
  })
}
