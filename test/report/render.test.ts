import { describe, expect, it } from 'vitest'
import { buildReport } from '../../scripts/lib/report/build.ts'
import { render, REPORT_FORMATS } from '../../scripts/lib/report/render.ts'
import { emptyReport, fleetReport } from './samples.ts'

const BEGINNING_OF = {
  text: /^✖ CRITICAL: /,
  json: /^\{\n {2}"schema": "opskit\.report\/1"/,
  markdown: /^# Diagnosis of 3 hosts\n/,
  html: /^<!doctype html>/,
  nagios: /^OPSKIT CRITICAL - /,
}

describe('every format', () => {
  it.each(REPORT_FORMATS)('%s is one whole document that ends in a newline', async (format) => {
    const document = await render(buildReport(fleetReport()), format)
    expect(document).toMatch(BEGINNING_OF[format])
    expect(document).toMatch(/\S\n$/)
  })

  it.each(REPORT_FORMATS)('%s says of an empty report that nothing was checked', async (format) => {
    expect(await render(buildReport(emptyReport()), format)).toContain('nothing was checked')
  })

  it('hands its options to the text', async () => {
    expect(await render(buildReport(fleetReport()), 'text', { color: true })).toContain('\u001b[31m')
    expect(await render(buildReport(fleetReport()), 'json', { color: true })).not.toContain('\u001b')
  })
})
