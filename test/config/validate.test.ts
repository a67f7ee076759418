import { describe, expect, it } from 'vitest'
import { isOpsError, type OpsError } from '../../scripts/lib/core/errors.ts'
import { validateConfig } from '../../scripts/lib/config/validate.ts'

function refusal(text: string): OpsError {
  try {
    validateConfig(text, 'opskit.yaml')
  } catch (error) {
    if (isOpsError(error, 'CONFIG_INVALID')) return error
    throw error
  }
  throw new Error('it was accepted')
}

const lines = (text: string) => refusal(text).message.split('\n')

describe('a config that is right', () => {
  it('has durations in milliseconds and every default filled in', () => {
    const config = validateConfig('diagnose:\n  deadline: 1m30s\n', 'opskit.yaml')
    expect(config.diagnose.deadline).toBe(90_000)
    expect(config.diagnose.check_timeout).toBe(3_000)
    expect(config.diagnose.thresholds.disk_used_percent).toEqual({ warning: 85, critical: 95 })
    expect(config.hosts).toEqual({})
  })

  it.each([
    ['an empty file', ''],
    ['only comments', '# nothing yet\n'],
    ['sections left empty', 'hosts:\ndiagnose:\n  http:\n  thresholds:\n'],
    ['a byte order mark', '\ufeffversion: 1\n'],
    ['CRLF', 'version: 1\r\nhosts: {}\r\n'],
    ['an explicit document', '---\nversion: 1\n...\n'],
  ])('may be %s', (_what, text) => {
    expect(validateConfig(text, 'opskit.yaml').version).toBe(1)
  })

  it('may share settings by anchor and merge key', () => {
    const config = validateConfig(
      'hosts:\n  a:\n    ssh: &ssh { host: 192.0.2.1, user: ops }\n  b:\n    ssh: { <<: *ssh, host: 192.0.2.2 }\n',
      'opskit.yaml',
    )
    expect(config.hosts.b).toMatchObject({ ssh: { host: '192.0.2.2', user: 'ops' } })
  })

  it('has relative paths and ~ made absolute, references to secret files too', () => {
    const text = [
      'hosts:',
      '  a:',
      '    ssh: { host: h, identity_file: keys/a, known_hosts: ~/k, passphrase: { file: p } }',
      'diagnose:',
      '  http: [{ name: x, url: "http://example.com/", headers: { A: { file: h }, B: keys/a } }]',
      '  certificates: [{ file: c.pem, key: /abs/k.pem }]',
      '  containers: { compose_files: [../c.yaml] }',
    ].join('\n')
    const config = validateConfig(text, 'opskit.yaml', { directory: '/etc/opskit', home: '/root' })
    expect(config.hosts.a).toMatchObject({
      ssh: { identity_file: '/etc/opskit/keys/a', known_hosts: '/root/k', passphrase: { file: '/etc/opskit/p' } },
    })
    expect(config.diagnose.http[0]?.headers).toEqual({ A: { file: '/etc/opskit/h' }, B: 'keys/a' })
    expect(config.diagnose.certificates).toEqual([{ file: '/etc/opskit/c.pem', key: '/abs/k.pem' }])
    expect(config.diagnose.containers.compose_files).toEqual(['/etc/c.yaml'])
  })
})

/** What is wrong, and the first line of the message. */
const REFUSED: readonly (readonly [what: string, text: string, message: string])[] = [
  ['an unknown section', 'host:\n  a: 1\n', 'opskit.yaml:1:1: host: unknown key; did you mean "hosts"?'],
  [
    'an unknown key without a neighbour',
    'zzz: 1\n',
    'opskit.yaml:1:1: zzz: unknown key; known here: version, name, state, hosts',
  ],
  [
    'a typo in ssh',
    'hosts:\n  a:\n    ssh:\n      host: h\n      prot: 22\n',
    'opskit.yaml:5:7: hosts.a.ssh.prot: unknown key; did you mean "port"?',
  ],
  [
    'a typo of ssh',
    'hosts:\n  a:\n    shh: { host: h }\n',
    'opskit.yaml:3:5: hosts.a.shh: unknown key; did you mean "ssh"?',
  ],
  [
    'neither ssh nor container',
    'hosts:\n  a: { sudo: true }\n',
    'opskit.yaml:2:3: hosts.a: needs one of "ssh", "container"',
  ],
  [
    'both ssh and container',
    'hosts:\n  a: { ssh: { host: h }, container: { name: c } }\n',
    'opskit.yaml:2:3: hosts.a: only one of "ssh", "container" is allowed here',
  ],
  [
    'a host that is text',
    'hosts:\n  a: 192.0.2.1\n',
    'opskit.yaml:2:6: hosts.a: expected { ssh: … } or { container: … }',
  ],
  ['a missing key', 'hosts:\n  a: { ssh: { port: 22 } }\n', 'opskit.yaml:2:8: hosts.a.ssh: missing key "host"'],
  [
    'a wrong name',
    'hosts:\n  "a b": { ssh: { host: h } }\n',
    'opskit.yaml:2:3: hosts.a b: a name starts with a letter or digit and holds letters, digits, ".", "_" and "-"',
  ],
  [
    'a container on an unknown host',
    'hosts:\n  web-1: { ssh: { host: h } }\n  c: { container: { name: c, on: web1 } }\n',
    'opskit.yaml:3:34: hosts.c.container.on: no other host is named "web1"; did you mean "web-1"?',
  ],
  [
    'a port out of range',
    'hosts:\n  a: { ssh: { host: h, port: 70000 } }\n',
    'opskit.yaml:2:30: hosts.a.ssh.port: must be at most 65535',
  ],
  [
    'a duration without a unit',
    'diagnose:\n  deadline: 5\n',
    'opskit.yaml:2:13: diagnose.deadline: expected text, got a number (a duration: 500ms, 30s, 5m, 2h, 1d)',
  ],
  [
    'a duration of another kind',
    'diagnose:\n  deadline: 5 parsecs\n',
    'opskit.yaml:2:13: diagnose.deadline: "5 parsecs" is not a duration',
  ],
  [
    'a wrong choice',
    'diagnose:\n  databases: [{ name: a, type: postgre }]\n',
    'opskit.yaml:2:32: diagnose.databases.0.type: "postgre" is not one of mariadb, mysql, postgresql; did you mean "postgresql"?',
  ],
  [
    'a wrong address',
    'diagnose:\n  http: [{ name: a, url: ftp://example.com }]\n',
    'opskit.yaml:2:26: diagnose.http.0.url: must be an address that begins with http:// or https://',
  ],
  [
    'a typo in a certificate',
    'diagnose:\n  certificates:\n    - { fiel: x }\n',
    'opskit.yaml:3:9: diagnose.certificates.0.fiel: unknown key; did you mean "file"?',
  ],
  [
    'a key of the other kind of certificate',
    'diagnose:\n  certificates:\n    - { site: x, key: y }\n',
    'opskit.yaml:3:18: diagnose.certificates.0.key: unknown key; known here: site, server_name',
  ],
  [
    'an unknown threshold',
    'diagnose:\n  thresholds:\n    disk_used: { warning: 1 }\n',
    'opskit.yaml:3:5: diagnose.thresholds.disk_used: unknown key; did you mean "disk_used_percent"?',
  ],
  ['a value left out', 'name:\n', 'opskit.yaml:1:6: name: expected text, got nothing'],
  ['a list for a mapping', 'hosts: [a]\n', 'opskit.yaml:1:8: hosts: expected keys and values, got a list'],
  ['another version', 'version: 2\n', 'opskit.yaml:1:10: version: expected 1'],
  ['text only', 'hello\n', 'opskit.yaml:1:1: expected keys and values, got text'],
  ['a tab', 'hosts:\n\ta: 1\n', 'opskit.yaml:2:1: Tabs are not allowed as indentation: indent with spaces'],
  ['a merge of what is no mapping', 'version: 1\n<<: 3\n', 'opskit.yaml:2:1: << takes a mapping or an alias of one'],
  ['a key twice', 'version: 1\nhosts: {}\nversion: 1\n', 'opskit.yaml:3:1: the key "version" is here twice'],
  [
    'an open bracket',
    'hosts: [\n',
    'opskit.yaml:2:1: Flow sequence in block collection must be sufficiently indented and end with a ]',
  ],
  [
    'two documents',
    'version: 1\n---\nversion: 1\n',
    'opskit.yaml:2:1: only one document: nothing may follow a line of ---',
  ],
  ['an unknown tag', 'name: !secret x\n', 'opskit.yaml:1:7: Unresolved tag: !secret'],
  [
    'an alias of nothing',
    'name: *x\n',
    'opskit.yaml:1:1: Unresolved alias (the anchor must be set before the alias): x',
  ],
  [
    'a __proto__',
    '__proto__: { name: x }\n',
    'opskit.yaml:1:1: __proto__: unknown key; known here: version, name, state, hosts',
  ],
]

describe('a config that is wrong', () => {
  it.each(REFUSED)('with %s says so at its place', (_what, text, message) => {
    expect(lines(text)[0]?.slice(0, message.length)).toBe(message)
  })

  it('tells all its problems at once, in the order of the file, and gives the place of the first', () => {
    const error = refusal('hots: {}\ndiagnose:\n  deadline: 5\n  http:\n    - { name: a }\nnaem: x\n')
    expect(error.message.split('\n')).toEqual([
      'opskit.yaml:1:1: hots: unknown key; did you mean "hosts"?',
      'opskit.yaml:3:13: diagnose.deadline: expected text, got a number (a duration: 500ms, 30s, 5m, 2h, 1d)',
      'opskit.yaml:5:7: diagnose.http.0: missing key "url"',
      'opskit.yaml:6:1: naem: unknown key; did you mean "name"?',
    ])
    expect(error.details.place).toBe('opskit.yaml:1:1')
    expect(error.details.problems).toHaveLength(4)
    expect(error.details.problems?.[3]).toEqual({
      place: 'opskit.yaml:6:1',
      message: 'naem: unknown key; did you mean "name"?',
    })
    expect(error.details.hint).toContain('templates/opskit.example.yaml')
  })

  it.each([
    ['text', 'password: S3cr3t-planted'],
    ['quoted text', 'password: "S3cr3t-planted x"'],
    ['a number', 'password: 9876543210123'],
    ['a list', 'password: [S3cr3t-planted]'],
    ['another mapping', 'password: { value: S3cr3t-planted }'],
    ['a block', 'password: |\n          S3cr3t-planted'],
  ])('with a secret in place of a reference to it (%s) does not print it', (_what, line) => {
    const { message } = refusal(`hosts:\n  a:\n    ssh:\n      host: h\n      ${line}\n`)
    expect(message).toMatch(/hosts\.a\.ssh\.password/)
    expect(message).toMatch(/reference to a secret: \{ env: NAME \} or \{ file: path \}|known here: env, file/)
    expect(message).not.toMatch(/S3cr3t|9876543210123/)
  })

  it('with both env and file for one secret says that it is one of them', () => {
    const text = 'diagnose:\n  databases: [{ name: a, type: mysql, password: { env: A, file: b } }]\n'
    expect(lines(text)[0]).toMatch(/password: only one of "env", "file" is allowed here$/)
  })

  it.each([
    [
      'an alias bomb',
      [
        'a: &a [x, x, x, x, x, x, x, x, x]',
        ...'bcdefg'.split('').map((c, i) => `${c}: &${c} [${`*${'abcdef'[i]}, `.repeat(9)}]`),
      ].join('\n'),
      'too many aliases',
    ],
    ['ten thousand brackets', '['.repeat(10_000), 'nested too deeply'],
    ['a huge file', '#'.repeat(300_000), 'larger than 256 KiB'],
    ['a circle', 'hosts: &a\n  b: *a\n', 'unknown key'],
  ])('that is hostile (%s) is refused', (_what, text, message) => {
    expect(refusal(text).message).toContain(message)
  })

  it('with thousands of unknown keys is told soon and shortly', () => {
    const all = lines(Array.from({ length: 10_000 }, (_, index) => `key_${index}: 1`).join('\n'))
    expect(all).toHaveLength(51)
    expect(all.at(-1)).toMatch(/^… and \d+ more$/)
  })

  it('keeps control characters of the file out of its message', () => {
    expect(refusal('"\\e[2Jx": 1\n').message).not.toMatch(/\u001b/)
  })
})
