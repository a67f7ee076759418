import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { convertEndpoints, formatDocument, readEnvironment } from '../../scripts/lib/endpoint/file/convert.ts'
import { formatProblem, lintEndpointFile } from '../../scripts/lib/endpoint/file/lint.ts'
import { parseEndpointFile } from '../../scripts/lib/endpoint/file/parse.ts'

interface Reference {
  readonly parser: readonly { name: string; text: string; domains: string[]; ips: string[] }[]
  readonly converter: readonly { env: Record<string, string>; body: string }[]
  readonly documented: { text: string; body: string }
}

/** What the reference server's own parser and converter made of these inputs. */
const reference = JSON.parse(readFileSync(new URL('fixtures/reference.json', import.meta.url), 'utf8')) as Reference

describe('parseEndpointFile', () => {
  it.each(reference.parser.map((one) => [one.name, one] as const))('reads %s as the reference does', (_name, one) => {
    expect(parseEndpointFile(one.text)).toEqual({ domains: one.domains, ips: one.ips })
  })
})

describe('convertEndpoints', () => {
  it.each(reference.converter)('gives the bytes of the reference with $env', ({ env, body }) => {
    const file = parseEndpointFile('DomainList:\na.example.com\nIPList:\n192.0.2.1\n')
    expect(formatDocument(convertEndpoints(file, readEnvironment(env).settings))).toBe(body)
  })

  it('gives the bytes of the reference for the documented example', () => {
    const { text, body } = reference.documented
    expect(formatDocument(convertEndpoints(parseEndpointFile(text), readEnvironment({}).settings))).toBe(body)
  })

  it('leaves a host its own port', () => {
    const { settings } = readEnvironment({ ENDPOINT_DEFAULT_PORT: '9000' })
    const file = { domains: ['a.example.com:8443', 'b.example.com'], ips: ['[2001:db8::1]', '[2001:db8::2]:8443'] }
    expect(convertEndpoints(file, settings).socketio_endpoints.map(({ url }) => url)).toEqual([
      'https://a.example.com:8443',
      'https://b.example.com:9000',
      'https://[2001:db8::1]:9000',
      'https://[2001:db8::2]:8443',
    ])
  })

  it.each([
    [{ ENDPOINT_DEFAULT_PORT: 'abc' }, 'ENDPOINT_DEFAULT_PORT is "abc"'],
    [{ ENDPOINT_DEFAULT_PORT: '99999' }, 'ENDPOINT_DEFAULT_PORT is "99999"'],
    [{ ENDPOINT_PROTOCOL: 'ftp' }, 'ENDPOINT_PROTOCOL is "ftp"'],
  ])('says that it does not take %o', (env, warning) => {
    expect(readEnvironment(env).warnings).toEqual([expect.stringContaining(warning)])
  })
})

const listed = (line: string) => `DomainList:\n${line}\nIPList:\n192.0.2.1\n`

describe('lintEndpointFile', () => {
  it.each<[what: string, text: string, line: number, severity: string, message: string]>([
    ['a byte order mark', '\ufeffDomainList:\na.example.com\n', 1, 'warning', 'byte order mark'],
    ['values on the line of a section', 'DomainList: a.example.com\n', 1, 'error', 'after DomainList: is lost'],
    ['a space before the colon', 'DomainList :\na.example.com\n', 1, 'error', '"DomainList :" begins no section'],
    ['a full-width colon', listed('a.example.com\nIPList：'), 3, 'error', 'begins no section'],
    ['an unknown section', listed('a.example.com\nPortList:'), 3, 'error', 'begins no section'],
    ['an item before any section', 'a.example.com\n', 1, 'error', 'before any section'],
    ['a full-width comma', listed('a.example.com，b.example.com'), 2, 'error', 'only the comma'],
    ['a comment after a host', listed('a.example.com # main'), 2, 'error', 'comment becomes part'],
    ['a URL', listed('https://a.example.com/x'), 2, 'error', 'a URL, not a host'],
    ['a path', listed('a.example.com/x'), 2, 'error', 'a path or a user'],
    ['a user', listed('joe@a.example.com'), 2, 'error', 'a path or a user'],
    ['a space', listed('a.example .com'), 2, 'error', 'a space within'],
    ['an underscore', listed('a_b.example.com'), 2, 'error', 'not a host name'],
    ['two dots', listed('a..example.com'), 2, 'error', 'not a host name'],
    ['a label of 64', listed(`${'a'.repeat(64)}.example.com`), 2, 'error', 'not a host name'],
    ['a wrong IPv4 address', listed('192.0.2.256'), 2, 'error', 'not an IPv4 address'],
    ['a wrong port', listed('a.example.com:99999'), 2, 'error', 'not a port'],
    ['a wrong IPv6 address', listed('[2001:db8::g]'), 2, 'error', 'not an IPv6 address'],
    ['a zone', listed('fe80::1%eth0'), 2, 'error', 'not an IPv6 address'],
    ['a zero-width space', listed('\u200ba.example.com'), 2, 'error', 'cannot be seen'],
    ['an IPv6 address without brackets', listed('2001:db8::1'), 2, 'warning', '[2001:db8::1]'],
    ['a host that stands twice', listed('a.example.com\nA.example.com'), 3, 'warning', 'line 2 already'],
    ['an address among the names', listed('192.0.2.9'), 2, 'warning', 'belongs under IPList:'],
    ['a name without a dot', listed('xx'), 2, 'warning', 'without a dot'],
    ['a name in Chinese', listed('例子.example.com'), 2, 'warning', 'xn--'],
  ])('names %s by its line', (...[, text, line, severity, message]) => {
    expect(lintEndpointFile(text).problems).toContainEqual(
      expect.objectContaining({ line, severity, message: expect.stringContaining(message) as string }),
    )
  })

  it('finds nothing wrong with a good list, and little with the documented example', () => {
    expect(lintEndpointFile(listed('a.example.com, b.example.com:8443')).problems).toEqual([])
    expect(
      lintEndpointFile(reference.documented.text).problems.map((problem) => formatProblem(problem, 'list')),
    ).toEqual(['list:5: xx: a name without a dot: is a part of it missing?'])
  })

  it('reads what follows a byte order mark, and puts IPv6 addresses into brackets', () => {
    const { file } = lintEndpointFile('\ufeffDomainList:\na.example.com\nIPList:\n2001:db8::1\n')
    expect(file).toEqual({ domains: ['a.example.com'], ips: ['[2001:db8::1]'] })
  })

  it('reads a list with nothing to complain of exactly as the reference does', () => {
    const host = fc.constantFrom('a.example.com', 'b.example.net', 'c.example.org:8443', '192.0.2.1', '[2001:db8::1]')
    const line = fc.oneof(
      fc.constantFrom('DomainList:', 'iplist:', '# comment', '', '  '),
      fc.array(host, { minLength: 1, maxLength: 3 }).map((hosts) => hosts.join(' , ')),
    )
    fc.assert(
      fc.property(fc.array(line), fc.constantFrom('\n', '\r\n', '\r'), (lines, end) => {
        const text = ['DomainList:', ...lines].join(end)
        const { file, problems } = lintEndpointFile(text)
        fc.pre(problems.every(({ severity }) => severity === 'warning'))
        expect(file).toEqual(parseEndpointFile(text))
      }),
    )
  })

  it('never throws, and tells a bounded number of problems', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), (text) => {
        expect(lintEndpointFile(`DomainList:\n${text}`).problems.length).toBeLessThanOrEqual(200)
      }),
    )
    expect(lintEndpointFile(listed('x y\n'.repeat(5_000))).problems).toHaveLength(200)
  })
})
