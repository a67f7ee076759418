import { describe, expect, it } from 'vitest'
import { decideList } from '../../scripts/lib/endpoint/serve/decide.ts'
import { lintEndpointFile } from '../../scripts/lib/endpoint/file/lint.ts'

const FULL = 'DomainList:\na.example.com\nb.example.com\nIPList:\n192.0.2.1\n192.0.2.2\n'
const NAMES = 'DomainList:\na.example.com\nb.example.com\n'
const EMPTY = '# nothing\nDomainList:\n'

const decide = (text: string | undefined, served: string | undefined, allowEmpty = false) =>
  decideList({ text, linted: text === undefined ? undefined : lintEndpointFile(text), served, allowEmpty })

describe('decideList', () => {
  it.each<[string, string | undefined, string | undefined, boolean, string]>([
    ['the first list', FULL, undefined, true, 'it is the first list'],
    ['another list', FULL.replace('b.example', 'c.example'), FULL, true, 'it has changed'],
    ['the same list', FULL, FULL, false, 'nothing has changed'],
    ['a list without its last line', FULL.replace('192.0.2.2\n', ''), FULL, true, 'it has changed'],
    ['a longer list', `${FULL}192.0.2.3\n`, FULL, true, 'it has changed'],
    ['a file that is gone', undefined, FULL, false, 'the file is gone or cannot be read'],
    ['a file that is gone at the start', undefined, undefined, false, 'the file is gone or cannot be read'],
    ['an empty file', '', FULL, false, 'it names no host'],
    ['an empty list', EMPTY, FULL, false, 'it names no host'],
    ['an empty list at the start', EMPTY, undefined, false, 'it names no host'],
    ['garbage', '\u0000\u0001garbage\n', FULL, false, 'one line is wrong'],
    ['a list with wrong lines', `${FULL}x y\nhttps://x\n`, FULL, false, '2 lines are wrong'],
    ['a list that ends within a line', FULL.slice(0, 20), FULL, false, 'it is the list in use, cut off'],
    [
      'names that end within a line',
      'DomainList:\na.example.com\nb.exam',
      NAMES,
      false,
      'it is the list in use, cut off',
    ],
    [
      'a list that lost its last section',
      'DomainList:\na.example.com\nb.example.com\n',
      FULL,
      false,
      'it is the list in use, cut off',
    ],
  ])('of %s', (...[, text, served, take, because]) => {
    expect(decide(text, served)).toEqual({ take, because })
  })

  it('lets an empty or shortened list through where that is allowed', () => {
    expect(decide('', FULL, true)).toMatchObject({ take: true })
    expect(decide(EMPTY, FULL, true)).toMatchObject({ take: true })
    expect(decide(FULL.slice(0, 25), FULL, true)).toMatchObject({ take: true })
    expect(decide(undefined, FULL, true)).toMatchObject({ take: false })
  })

  it('never takes a cut that is not a whole list, wherever it is cut within a line', () => {
    for (let at = 1; at < FULL.length; at += 1) {
      const [before, after] = [FULL[at - 1], FULL[at]]
      if (before === '\n' || after === '\n') continue
      expect(decide(FULL.slice(0, at), FULL).take, FULL.slice(0, at)).toBe(false)
    }
  })
})
