/** One host of an endpoint list: is it one, and how is it written in a URL? RFC 1123 names, RFC 3986 addresses. */
import { isIP, isIPv4, isIPv6 } from 'node:net'
import { printable } from '../../core/printable.ts'

export type HostVerdict =
  | { readonly ok: true; readonly kind: 'name' | 'address'; readonly host: string; readonly note?: string }
  | { readonly ok: false; readonly because: string; readonly hint: string }

const MAX_NAME = 253

/** @param item a host, with or without a port, as it stands in the list */
export function judgeHost(item: string): HostVerdict {
  const odd = oddity(item)
  if (odd) return odd
  if (isIPv6(item) && !item.includes('%')) {
    const host = `[${item}]`
    return { ok: true, kind: 'address', host, note: `an IPv6 address stands in brackets in a URL: ${host}` }
  }
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(.*))?$/.exec(item) ?? []
  const inner = bracketed ?? plain
  if (/:.*:/.test(item) && bracketed === undefined) return no(`"${item}" is not an IPv6 address`, 'Zones do not count.')
  if (inner === undefined) return no(`"${item}" is not a host`, 'Write a name or an address, one a line.')
  if (port !== undefined && !isPort(port)) return no(`"${port}" is not a port`, 'Ports go from 1 to 65535.')
  if (bracketed !== undefined) {
    return isIPv6(bracketed) && !bracketed.includes('%')
      ? { ok: true, kind: 'address', host: item }
      : no(`"[${bracketed}]" is not an IPv6 address`, 'Only an IPv6 address stands in brackets.')
  }
  return isIP(inner) === 4 ? { ok: true, kind: 'address', host: item } : judgeName(inner, item)
}

/** What is often pasted or typed in place of a host. */
function oddity(item: string): HostVerdict | undefined {
  if (printable(item) !== item) return no('a character that cannot be seen', 'Type it again.')
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(item)) {
    return no('a URL, not a host', `Write the host alone: ${item.replace(/^[^:]*:\/\//, '').replace(/[/?#].*$/, '')}`)
  }
  if (/[，、；;]/u.test(item)) return no('only the comma "," separates hosts', 'Write one host a line.')
  if (/[：。．]/u.test(item)) return no('a full-width sign where ":" or "." belongs', 'Type it again in half width.')
  if (/\s#/.test(item)) return no('the comment becomes part of the host', 'Put the comment on a line of its own.')
  if (/\s/.test(item)) return no('a space within a host', 'Write one host a line.')
  if (/[/?#@\\]/.test(item)) return no('a path or a user does not belong here', 'Write the host alone.')
  return undefined
}

function judgeName(name: string, item: string): HostVerdict {
  const labels = name.replace(/\.$/, '').split('.')
  const last = labels.at(-1) ?? ''
  if (/^\d+$/.test(last) || /^0x/i.test(last)) {
    return no(`"${name}" is not an IPv4 address`, 'Four numbers from 0 to 255.')
  }
  const isAscii = /^[\x21-\x7e]*$/.test(name)
  const ascii = isAscii ? name : asciiOf(name)
  const wrong = ascii
    .split('.')
    .find((label, i, all) => !isLabel(label) && !(label === '' && i === all.length - 1 && i > 0))
  if (ascii === '' || wrong !== undefined || ascii.length > MAX_NAME) {
    return no(`"${name}" is not a host name`, 'Letters, digits and hyphens, with dots between.')
  }
  if (!isAscii) return { ok: true, kind: 'name', host: item, note: `write it as ${ascii}: not every client knows how` }
  if (labels.length === 1) {
    return { ok: true, kind: 'name', host: item, note: 'a name without a dot: is a part of it missing?' }
  }
  return { ok: true, kind: 'name', host: item }
}

function isLabel(label: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i.test(label)
}

/** The punycode form; empty when there is none. */
function asciiOf(name: string): string {
  const url = `http://${name}/`
  const host = URL.canParse(url) ? new URL(url).hostname : ''
  return isIPv4(host) ? '' : host
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535
}

function no(because: string, hint: string): HostVerdict {
  return { ok: false, because, hint }
}
