/** The directive scanner on what real configurations hold. */
import { describe, expect, it } from 'vitest'
import { parseDirectives, type Directive } from '../../../scripts/lib/diagnose/service/nginx/directives.ts'

function shape(directives: readonly Directive[]): unknown {
  return directives.map(({ name, args, block }) => [name, ...args, ...(block ? [shape(block)] : [])])
}

const parse = (text: string) => shape(parseDirectives(text, 'nginx.conf'))

describe('nginx directives', () => {
  it.each([
    ['words and blocks', 'http { server { listen 80; } }', [['http', [['server', [['listen', '80']]]]]]],
    ['no space before a brace', 'server{listen 80;}', [['server', [['listen', '80']]]]],
    ['quotes with spaces, semicolons and escapes', `a "x ; \\" y" 'b';`, [['a', 'x ; " y', 'b']]],
    ['comments, also between arguments', 'a # one ; {\n  b; # two\nc;', [['a', 'b'], ['c']]],
    ['a variable in braces', 'root /srv/${host}/www;', [['root', '/srv/${host}/www']]],
    [
      'an escaped brace of a regular expression',
      'location ~ ^/a\\{2\\}$ { return 200; }',
      [['location', '~', '^/a\\{2\\}$', [['return', '200']]]],
    ],
    [
      'CRLF, tabs and no final newline',
      'a\tb;\r\nc d;',
      [
        ['a', 'b'],
        ['c', 'd'],
      ],
    ],
    ['a byte order mark', '\ufeffa b;', [['a', 'b']]],
    [
      'Lua with braces in strings and comments',
      `content_by_lua_block { local s = "}" -- }\n x = {1, [[ } ]]} }\nb;`,
      [['content_by_lua_block', []], ['b']],
    ],
  ])('reads %s', (_, text, expected) => {
    expect(parse(text)).toEqual(expected)
  })

  it('counts lines across comments, quotes and Lua', () => {
    const text = 'a;\n# x\nb "1\n2";\nc_by_lua_block {\n\n}\nd;'
    expect(parseDirectives(text, 'f').map(({ name, line }) => [name, line])).toEqual([
      ['a', 1],
      ['b', 3],
      ['c_by_lua_block', 5],
      ['d', 8],
    ])
  })

  it.each(['server {', '}', '{{{{', 'a "never closed', ';;;', 'content_by_lua_block { "', '\\', '{'.repeat(10_000)])(
    'survives %j',
    (text) => {
      expect(() => parseDirectives(text.slice(0, 20_000), 'f')).not.toThrow()
    },
  )
})
