import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { hostKeyError } from '../../scripts/lib/host/ssh/host-key-error.ts'
import {
  decideHostKey,
  fingerprintOf,
  lookupName,
  matchesHost,
  parseKnownHosts,
  preferKnownTypes,
} from '../../scripts/lib/host/ssh/known-hosts.ts'
import { matchesPattern, matchesPatterns } from '../../scripts/lib/host/ssh/patterns.ts'

const key = (type: string, body: string) => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(type.length)
  return Buffer.concat([length, Buffer.from(type), Buffer.from(body)])
}
const ED = key('ssh-ed25519', 'one')
const ED2 = key('ssh-ed25519', 'two')
const RSA = key('ssh-rsa', 'three')
const line = (hosts: string, blob: Buffer, marker = '') =>
  `${marker}${hosts} ${blob.subarray(4, 4 + blob.readUInt32BE(0)).toString()} ${blob.toString('base64')}`
const hashed = (name: string) => {
  const salt = Buffer.from('0123456789abcdef0123')
  return `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`
}
const decide = (lines: string[], blob: Buffer, host = 'web.example.com', port = 22) =>
  decideHostKey(parseKnownHosts(lines.join('\n'), 'known_hosts'), { host, port, key: blob })

describe('patterns', () => {
  it.each([
    ['*', 'anything', true],
    ['*.example.com', 'web.example.com', true],
    ['*.example.com', 'example.com', false],
    ['web?', 'web1', true],
    ['web?', 'web', false],
    ['web?', 'web12', false],
    ['WEB1', 'web1', true],
    ['a*b*c', 'aXbYc', true],
    ['a*b*c', 'aXbY', false],
    ['192.0.2.*', '192.0.2.7', true],
    ['a.c', 'abc', false],
  ])('%s against %s is %s', (pattern, name, expected) => {
    expect(matchesPattern(pattern, name)).toBe(expected)
  })

  it('lets a negated pattern win wherever it stands', () => {
    expect(matchesPatterns(['*.example.com', '!db.example.com'], 'db.example.com')).toBe(false)
    expect(matchesPatterns(['!db.example.com', '*.example.com'], 'web.example.com')).toBe(true)
    expect(matchesPatterns(['!db.example.com'], 'web.example.com')).toBe(false)
  })

  it('is not slowed down by many stars', () => {
    expect(matchesPattern('*a'.repeat(40) + 'b', 'a'.repeat(5000))).toBe(false)
  })
})

describe('known_hosts lines', () => {
  it('passes over comments, damaged lines and unknown markers, and counts lines', () => {
    const text = ['# comment', '', 'host ssh-ed25519', '@odd host ssh-ed25519 AAAA', line('web', ED)].join('\r\n')
    expect(parseKnownHosts(text, 'f')).toMatchObject([
      { line: 5, hosts: 'web', type: 'ssh-ed25519', marker: undefined },
    ])
  })

  it.each([
    ['web.example.com', 'web.example.com', true],
    ['web.example.com,192.0.2.1', '192.0.2.1', true],
    ['*.example.com,!db.example.com', 'db.example.com', false],
    ['[web.example.com]:2222', '[web.example.com]:2222', true],
    [hashed('web.example.com'), 'web.example.com', true],
    [hashed('web.example.com'), 'db.example.com', false],
    [hashed('[web.example.com]:2222'), '[web.example.com]:2222', true],
    ['|1|bad|data', 'web.example.com', false],
  ])('%s names %s: %s', (hosts, name, expected) => {
    expect(matchesHost(hosts, name)).toBe(expected)
  })

  it('looks a host on another port up with its port', () => {
    expect([lookupName('Web.Example.com', 22), lookupName('::1', 2222)]).toEqual(['web.example.com', '[::1]:2222'])
  })
})

describe('the verdict on a host key', () => {
  const web = 'web.example.com'
  it.each<[string, string[], Buffer, number, string]>([
    ['a key that is listed', [line(web, ED)], ED, 22, 'known'],
    ['a key that is listed under a hash', [line(hashed(web), ED)], ED, 22, 'known'],
    ['one of several listed keys', [line(web, RSA), line(web, ED)], ED, 22, 'known'],
    ['another key of the same type', [line(web, ED)], ED2, 22, 'changed'],
    ['a key of another type than is listed', [line(web, RSA)], ED, 22, 'changed'],
    ['a host that is not listed', [line('db.example.com', ED)], ED, 22, 'unknown'],
    ['a host that a pattern excludes', [line('*.example.com,!web.example.com', ED)], ED, 22, 'unknown'],
    ['a revoked key, even when it is listed too', [line(web, ED), line(web, ED, '@revoked ')], ED, 22, 'revoked'],
    ['a key revoked for every host', [line(web, ED), line('*', ED, '@revoked ')], ED, 22, 'revoked'],
    ['another key than the revoked one', [line(web, ED), line(web, ED2, '@revoked ')], ED, 22, 'known'],
    [
      'a host behind a certificate authority only',
      [line('*.example.com', RSA, '@cert-authority ')],
      ED,
      22,
      'authority',
    ],
    [
      'a host with its own key beside an authority',
      [line(web, ED), line('*', RSA, '@cert-authority ')],
      ED,
      22,
      'known',
    ],
    ['another port, listed with it', [line(`[${web}]:2222`, ED)], ED, 2222, 'known'],
    ['another port, with the key of the plain name', [line(web, ED)], ED, 2222, 'known'],
    ['another port, with another key than the plain name', [line(web, ED)], ED2, 2222, 'unknown'],
    [
      'another port, with another key than its own line',
      [line(`[${web}]:2222`, ED), line(web, ED2)],
      ED2,
      2222,
      'changed',
    ],
    ['port 22, with a line for another port only', [line(`[${web}]:2222`, ED)], ED, 22, 'unknown'],
    [
      'a key revoked under the plain name, on another port',
      [line(`[${web}]:2222`, ED), line(web, ED, '@revoked ')],
      ED,
      2222,
      'revoked',
    ],
  ])('%s', (...[, lines, blob, port, expected]) => {
    expect(decide(lines, blob, web, port).kind).toBe(expected)
  })
})

describe('the order in which key types are asked for', () => {
  const offered = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa']
  it.each([
    ['as offered for an unknown host', [], offered],
    [
      'known types first',
      [line('web', RSA)],
      ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa', 'ssh-ed25519', 'ecdsa-sha2-nistp256'],
    ],
    ['those of other hosts do not count', [line('db', RSA)], offered],
    ['authorities do not count', [line('web', RSA, '@cert-authority ')], offered],
  ])('%s', (_, lines, expected) => {
    const known = parseKnownHosts(lines.join('\n'), 'f')
    expect(preferKnownTypes(known, { host: 'web', port: 22 }, offered)).toEqual(expected)
  })
})

describe('the refusal', () => {
  const shown = {
    name: 'web-1',
    host: 'web.example.com',
    port: 2222,
    key: ED,
    knownHostsFile: '/home/me/.ssh/known_hosts',
  }
  const refuse = (lines: string[]) => {
    const verdict = decide(lines, ED, shown.host, shown.port)
    if (verdict.kind === 'known') throw new Error('it is known')
    return hostKeyError(verdict, shown)
  }

  it('gives the fingerprint of an unknown key and the command to add it', () => {
    const { code, message, details } = refuse([])
    expect(code).toBe('HOST_KEY')
    expect(message).toContain(`ed25519 ${fingerprintOf(ED)}`)
    expect(details.hint).toContain('ssh-keyscan -t ed25519 -p 2222 web.example.com >> /home/me/.ssh/known_hosts')
  })

  it('gives both fingerprints of a changed key and the line of the old one', () => {
    const { message, details } = refuse(['# first', line('[web.example.com]:2222', ED2)])
    expect(message).toContain('HAS CHANGED')
    expect(message).toContain(fingerprintOf(ED))
    expect(message).toContain(fingerprintOf(ED2))
    expect(details.place).toBe('known_hosts:2')
    expect(details.hint).toContain(`ssh-keygen -R '[web.example.com]:2222' -f known_hosts`)
  })

  it('does not offer to remove a revoked line', () => {
    const { message, details } = refuse([line('*', ED, '@revoked ')])
    expect(message).toContain('is revoked (known_hosts:1)')
    expect(details.hint).not.toContain('ssh-keygen -R')
  })

  it('says that certificate authorities are not supported', () => {
    expect(refuse([line('*', RSA, '@cert-authority ')]).message).toContain('does not check host certificates')
  })
})
