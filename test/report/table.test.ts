import { describe, expect, it } from 'vitest'
import { formatTable } from '../../scripts/lib/report/table.ts'

const table = (columns: string[], ...rows: string[][]) => ({ columns, rows })
const lines = (...each: string[]) => each.join('\n')

describe('a table', () => {
  it('aligns text left and numbers right, with units and gaps', () => {
    expect(
      formatTable(
        table(['name', 'size', 'used'], ['nightly', '1.5 GiB', '97 %'], ['web', '88 MiB', ''], ['x', '-', '3 %']),
      ),
    ).toBe(
      lines(
        'name        size  used',
        '───────  ───────  ────',
        'nightly  1.5 GiB  97 %',
        'web       88 MiB',
        'x              -   3 %',
      ),
    )
  })

  it('counts Chinese characters as two columns', () => {
    expect(formatTable(table(['名称', 'state'], ['订单服务', 'up'], ['web', 'down']), { rule: '-' })).toBe(
      lines('名称      state', '--------  -----', '订单服务  up', 'web       down'),
    )
  })

  it('wraps the widest cells to fit the terminal', () => {
    expect(formatTable(table(['id', 'what'], ['1', 'a rather long sentence about it']), { width: 20, rule: '-' })).toBe(
      lines('id  what', '--  ----------------', ' 1  a rather long', '    sentence about', '    it'),
    )
  })

  it('becomes records where the terminal is too narrow for columns', () => {
    const wide = table(
      ['first column', 'second column', 'third'],
      ['aaaaaaaaaaaa', 'bbbbbbbbbbbb', ''],
      ['c', 'd', 'e'],
    )
    expect(formatTable(wide, { width: 20 })).toBe(
      lines(
        'first   aaaaaaaaaaaa',
        'column',
        'second  bbbbbbbbbbbb',
        'column',
        '',
        'first   c',
        'column',
        'second  d',
        'column',
        'third   e',
      ),
    )
  })

  it('makes cells inert by itself, for lists that never were a report', () => {
    expect(formatTable(table(['a'], ['x\u001b[2J\ny']))).toBe(
      lines('a', '─────────────', 'x\\x1b[2J y'.padEnd(1)).replace('─────────────', '─'.repeat(10)),
    )
  })

  it('takes short and empty rows, and no columns at all', () => {
    expect(formatTable(table(['a', 'b'], ['1'], []))).toBe(lines('a  b', '─  ─', '1', ''))
    expect(formatTable(table([]))).toBe('')
    expect(formatTable(table(['a']))).toBe(lines('a', '─'))
  })
})
