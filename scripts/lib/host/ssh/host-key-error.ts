/** A refused host key, as the person reads it who has to decide whether it is an attack or a new machine. */
import { OpsError } from '../../core/errors.ts'
import { quoteWord } from '../../core/quote.ts'
import { fingerprintOf, lookupName, typeOf, type HostKeyQuestion, type HostKeyVerdict } from './known-hosts.ts'

export interface RefusedKey extends HostKeyQuestion {
  /** The host's opskit name. */
  readonly name: string
  /** Where a new line would go: the first known_hosts file. */
  readonly knownHostsFile: string
}

export function hostKeyError(verdict: Exclude<HostKeyVerdict, { kind: 'known' }>, shown: RefusedKey): OpsError {
  const { name, host, port, key, knownHostsFile } = shown
  const type = shortType(typeOf(key))
  const fingerprint = `${type} ${fingerprintOf(key)}`
  const where = `${name} (${host}:${port})`
  switch (verdict.kind) {
    case 'unknown':
      return refusal(name, `the host key of ${where} is not known: ${fingerprint}`, undefined, [
        `Compare it with what the machine itself says (ssh-keygen -lf /etc/ssh/ssh_host_${type}_key.pub), then:`,
        `ssh-keyscan -t ${type} -p ${port} ${quoteWord(host)} >> ${quoteWord(knownHostsFile)}`,
      ])
    case 'changed': {
      const old = verdict.known.map((line) => `${shortType(line.type)} ${fingerprintOf(line.key)}`).join(', ')
      const place = verdict.known.map((line) => `${line.file}:${line.line}`).join(', ')
      const files = [...new Set(verdict.known.map((line) => line.file))]
      const remove = files.map((file) => `ssh-keygen -R ${quoteWord(lookupName(host, port))} -f ${quoteWord(file)}`)
      const message = `the host key of ${where} HAS CHANGED: it shows ${fingerprint}, known is ${old} (${place}). Connection refused: someone may be in between, or the machine was set up anew`
      return refusal(name, message, place, [
        'Only when you know that the machine was set up anew:',
        ...remove,
        'and add its new key after comparing the fingerprint.',
      ])
    }
    case 'revoked': {
      const place = `${verdict.by.file}:${verdict.by.line}`
      return refusal(name, `the host key of ${where} is revoked (${place}): ${fingerprint}`, place, [
        'Give the machine a new host key; never remove the @revoked line.',
      ])
    }
    case 'authority': {
      const place = `${verdict.by.file}:${verdict.by.line}`
      const message = `${where} is known by a certificate authority only (${place}), and opskit does not check host certificates; it shows ${fingerprint}`
      return refusal(name, message, place, [
        `Add the key itself after comparing it: ssh-keyscan -t ${type} -p ${port} ${quoteWord(host)} >> ${quoteWord(knownHostsFile)}`,
      ])
    }
  }
}

function refusal(host: string, message: string, place: string | undefined, hint: readonly string[]): OpsError {
  return new OpsError('HOST_KEY', message, { host, hint: hint.join(' '), ...(place === undefined ? {} : { place }) })
}

/** As ssh-keygen and ssh-keyscan call a type. */
function shortType(type: string): string {
  if (type.startsWith('ecdsa-')) return 'ecdsa'
  return type.replace(/^ssh-/, '').replace(/^rsa-.*/, 'rsa')
}
