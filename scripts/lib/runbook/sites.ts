/** Every place of a step where a param may stand, with its path within the block. */
import type { Path } from '../config/walk.ts'
import type { Step, Task, Verify } from './types.ts'

export interface Site {
  readonly path: Path
  readonly text: string
  /** A script is run as it is; `argument` is one of a program; the rest is text. */
  readonly kind: 'script' | 'argument' | 'host' | 'text'
}

/** A step's work, and that of its verify and rollback, each with its path. */
export function tasksOf({ task, verify, rollback }: Step): { readonly path: Path; readonly task: Task | Verify }[] {
  return [
    ...(task ? [{ path: [], task }] : []),
    ...(verify ? [{ path: ['verify'], task: verify }] : []),
    ...(rollback ? [{ path: ['rollback'], task: rollback }] : []),
  ]
}

export function sitesOf(step: Step): Site[] {
  const { confirm, when } = step
  return [
    ...tasksOf(step).flatMap(({ path, task }) => sitesOfTask(path, task, step.task)),
    ...(typeof confirm === 'string' ? [site(['confirm'], confirm)] : []),
    ...(when?.value !== undefined ? [site(['when'], when.value)] : []),
  ]
}

/** @param from the step's own work, when this is its verify or rollback: a host that it has from there is told once */
export function sitesOfTask(path: Path, task: Task | Verify, from?: Task): Site[] {
  const inherited = path.length > 0 && task.on === from?.on
  return [
    ...sitesOfWork(path, task),
    ...(task.on !== undefined && !inherited ? [site([...path, 'on'], task.on, 'host')] : []),
    ...('expect' in task && task.expect !== undefined ? [site([...path, 'expect'], task.expect)] : []),
  ]
}

function sitesOfWork(path: Path, { work }: Task): Site[] {
  if (work.kind === 'shell') return [site([...path, 'run'], work.script, 'script')]
  if (work.kind === 'argv') return work.argv.map((text, index) => site([...path, 'run', index], text, 'argument'))
  return textsIn(work.params, [...path, 'params'])
}

function textsIn(value: unknown, path: Path): Site[] {
  if (typeof value === 'string') return [site(path, value)]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, item]) =>
    textsIn(item, [...path, Array.isArray(value) ? Number(key) : key]),
  )
}

function site(path: Path, text: string, kind: Site['kind'] = 'text'): Site {
  return { path, text, kind }
}
