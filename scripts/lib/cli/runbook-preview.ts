/** How `start --dry-run` reads: each step with what it would do and where. */
import { formatDuration } from '../core/duration.ts'
import { printable, printableLine } from '../core/printable.ts'
import type { ParamValues } from '../runbook/params.ts'
import type { PreviewedStep, PreviewedTask } from '../runbook/run/preview.ts'
import type { Runbook } from '../runbook/types.ts'
import { plain } from './runbook-lines.ts'

const WOULD = { run: 'would run', look: 'looks', wait: 'a human', pass: 'does not apply' } as const

export function previewHead({ id, title }: Runbook, params: ParamValues): string[] {
  const pairs = Object.entries(params).map(([name, value]) => printableLine(`  ${name}=${String(value)}`))
  return [printableLine(`${id}: ${title} (dry run: only steps that look are run)`), ...pairs]
}

export function previewLines({
  number,
  title,
  would,
  task,
  verify,
  rollback,
  asks,
  seen,
  plan = [],
}: PreviewedStep): string[] {
  const line = (label: string, one: PreviewedTask) => {
    const expects = one.expect === undefined ? '' : `, expects ${JSON.stringify(one.expect)}`
    const [first = '', ...rest] = one.command.split('\n')
    const head = `      ${label} on ${one.host} (${formatDuration(one.timeoutMs)}${expects}): ${printable(first)}`
    return [head, ...rest.map((more) => `        ${printable(more)}`)]
  }
  const output = (seen?.output ?? '').trimEnd()
  return [
    printableLine(`  ${number} ${plain(title)}  [${[WOULD[would], ...asks].join('; ')}]`),
    ...(task ? line('run', task) : []),
    ...plan.filter((text) => text !== '').map((text) => `        | ${printable(text)}`),
    ...(verify ? line('verify', verify) : []),
    ...(rollback ? line('rollback', rollback) : []),
    ...(seen ? [`      saw: ${printableLine(seen.because)}`] : []),
    ...(output === '' ? [] : output.split('\n').map((text) => `        | ${printable(text)}`)),
  ]
}
