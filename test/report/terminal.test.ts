import { describe, expect, it } from 'vitest'
import { decideTerminal } from '../../scripts/lib/report/terminal.ts'

describe('what a terminal can show', () => {
  const terminal = { isTTY: true, columns: 100 }
  it.each<[string, object, Record<string, string>, object]>([
    ['a UTF-8 terminal', terminal, { LANG: 'en_US.UTF-8' }, { color: true, width: 100, unicode: true }],
    ['a pipe', {}, { LANG: 'zh_CN.utf8' }, { color: false, unicode: true }],
    ['NO_COLOR', terminal, { NO_COLOR: '1', LANG: 'C.UTF-8' }, { color: false, width: 100, unicode: true }],
    ['an empty NO_COLOR', terminal, { NO_COLOR: '', LANG: 'C.UTF-8' }, { color: true, width: 100, unicode: true }],
    ['a dumb terminal', terminal, { TERM: 'dumb', LANG: 'C.UTF-8' }, { color: false, width: 100, unicode: true }],
    ['the Linux console', terminal, { TERM: 'linux', LANG: 'C.UTF-8' }, { color: true, width: 100, unicode: false }],
    ['no locale', terminal, {}, { color: true, width: 100, unicode: false }],
    ['LC_ALL over LANG', terminal, { LC_ALL: 'C', LANG: 'C.UTF-8' }, { color: true, width: 100, unicode: false }],
    ['LC_CTYPE over LANG', {}, { LC_CTYPE: 'C.UTF-8', LANG: 'C' }, { color: false, unicode: true }],
  ])('%s', (_, stream, env, shown) => {
    expect(decideTerminal(stream, env)).toEqual(shown)
  })
})
