import { describe, expect, it } from 'vitest'
import { isSelected, selectChecks } from '../../scripts/lib/diagnose/select.ts'
import type { Check } from '../../scripts/lib/diagnose/types.ts'

const run = async () => ({ findings: [] })
const checks: Check[] = [
  { name: 'host', covers: ['host.disk', 'host.load'], group: 'host', scope: 'machine', run },
  { name: 'nginx.config', group: 'service', scope: 'machine', run },
  { name: 'nginx.errors', group: 'service', scope: 'machine', run },
]
const names = (only: string[], skip: string[] = []) => selectChecks(checks, { only, skip }).map((check) => check.name)

describe('selectChecks', () => {
  it.each([
    ['everything by default', [], [], ['host', 'nginx.config', 'nginx.errors']],
    ['a group by its leading part', ['nginx'], [], ['nginx.config', 'nginx.errors']],
    ['one by its whole name', ['nginx.config'], [], ['nginx.config']],
    ['a reader through one of the names it covers', ['host.disk'], [], ['host']],
    ['a reader while one of its names is left', [], ['host.disk'], ['host', 'nginx.config', 'nginx.errors']],
    ['nothing of a skipped group', [], ['nginx', 'host'], []],
    ['skip over only', ['nginx'], ['nginx.errors'], ['nginx.config']],
  ])('selects %s', (_, only, skip, expected) => expect(names(only, skip)).toEqual(expected))

  it('refuses an unknown name and names the nearest', () => {
    expect(() => names(['host.dsk'])).toThrow(
      expect.objectContaining({ code: 'USAGE', details: { hint: 'Did you mean host.disk?' } }),
    )
  })

  it('accepts the name of a check that this config does not ask for', () => {
    expect(selectChecks(checks, { only: ['http'], skip: [] }, ['http.check'])).toEqual([])
  })

  it('does not take a common beginning for a leading part', () => {
    expect(isSelected('host.disk', { only: ['host.dis'], skip: [] })).toBe(false)
  })
})
