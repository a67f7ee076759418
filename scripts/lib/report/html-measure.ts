/** Percentages as bars with their limits marked. Other numbers are in the evidence already. */
import { say } from './html-text.ts'
import { html, type Markup } from './markup.ts'
import { limitOf } from './measure.ts'
import type { Finding, Measure } from './types.ts'

export function showMeasures({ measures = [], severity }: Finding): Markup {
  return html`${measures.filter(({ unit }) => unit === '%').map((measure) => showBar(measure, severity))}`
}

function showBar({ label, value, warn, crit }: Measure, severity: Finding['severity']): Markup {
  const limits = [
    ['warning', limitOf(warn)],
    ['critical', limitOf(crit)],
  ] as const
  const known = limits.flatMap(([name, limit]) => (limit === undefined ? [] : [{ name, limit: within(limit) }]))
  const spoken = [`${label} ${round(value)} %`, ...known.map(({ name, limit }) => `${name} at ${round(limit)} %`)].join(
    ', ',
  )
  const marks = known.map(({ limit }) => html`<line class="limit" x1="${limit}" x2="${limit}" y1="0" y2="1" />`)
  return html`<div class="measure">
    <span class="label">${say(label)}</span><span class="value">${round(value)} %</span
    ><svg viewBox="0 0 100 1" preserveAspectRatio="none" role="img" aria-label="${spoken}">
      <rect class="track" width="100" height="1" />
      <rect class="fill ${severity}" width="${within(value)}" height="1" />
      ${marks}
    </svg>
  </div>`
}

function within(value: number): number {
  return Math.min(100, Math.max(0, value))
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
