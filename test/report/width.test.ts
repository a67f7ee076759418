import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { displayWidth, padTo, wrapItems, wrapText } from '../../scripts/lib/report/width.ts'

describe('the width of a text', () => {
  it.each<[string, number]>([
    ['', 0],
    ['web-1', 5],
    ['订单服务', 8],
    ['（全角）', 8],
    ['ｱｲｳ', 3],
    ['한국어', 6],
    ['e\u0301', 1],
    ['👍', 2],
    ['👍🏽', 2],
    ['🇩🇪', 2],
    ['❤\ufe0f', 2],
    ['✖ ✔ │ ─ — …', 11],
    ['का', 2],
    ['𠀋', 2],
  ])('of "%s" is %i', (text, width) => {
    expect(displayWidth(text)).toBe(width)
  })

  it('is filled up with spaces on either side', () => {
    expect(padTo('数据', 6)).toBe('数据  ')
    expect(padTo('7', 3, 'right')).toBe('  7')
    expect(padTo('longer', 3)).toBe('longer')
  })
})

describe('wrapping', () => {
  it.each<[string, number, string[]]>([
    ['fits', 10, ['fits']],
    ['breaks at the last space that fits', 12, ['breaks at', 'the last', 'space that', 'fits']],
    ['exactly ten', 7, ['exactly', 'ten']],
    ['averyverylongword', 6, ['averyv', 'erylon', 'gword']],
    ['a averyverylongword', 6, ['a', 'averyv', 'erylon', 'gword']],
    ['容器连续失败', 5, ['容器', '连续', '失败']],
    ['容器失败，重启', 8, ['容器失', '败，重启']],
    ['  indented text', 10, ['  indented', 'text']],
    ['web容器', 4, ['web', '容器']],
  ])('"%s" at %i columns', (text, width, lines) => {
    expect(wrapText(text, width)).toEqual(lines)
  })

  it('leaves room for a hanging indent from the second line on', () => {
    expect(wrapText('one two three four', 9, 5)).toEqual(['one two', 'three', 'four'])
  })

  it('loses nothing but spaces and never exceeds the width', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '-', '数', '据', '，', 'é', '👍'), maxLength: 80 })
    fc.assert(
      fc.property(text, fc.integer({ min: 2, max: 20 }), (input, width) => {
        const lines = wrapText(input, width)
        expect(lines.join('').replaceAll(' ', '')).toBe(input.replaceAll(' ', ''))
        for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(Math.max(width, 2))
      }),
    )
  })

  it('does not break inside a short item', () => {
    expect(wrapItems(['uptime 12 d', 'load 0.4', 'memory 3 GiB'], ' · ', 24)).toEqual([
      'uptime 12 d · load 0.4',
      'memory 3 GiB',
    ])
    expect(wrapItems(['a', 'b'], ', ', Number.POSITIVE_INFINITY)).toEqual(['a, b'])
    expect(wrapItems([], ', ', 10)).toEqual([])
  })
})
