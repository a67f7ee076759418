/**
 * Secrets out of text and data, at the moment they are captured: by name, by shape, and by value when it is known.
 *
 * What is masked becomes `[REDACTED]`; user names, hosts and structure stay, JSON stays JSON. Linear in the size of the
 * text; masking twice changes nothing more. Text must come whole: a key that is cut into lines before it gets here is
 * only recognised line by line.
 * Leans towards masking: a harmless word lost on a line about a password is better than the password kept.
 */
import { maskArgv, maskCommands } from './redact/commands.ts'
import { isFlag, isOrdinary, isPlaceholder, isSecretName } from './redact/names.ts'
import { maskNamed } from './redact/pairs.ts'
import { maskPem, maskShapes } from './redact/shapes.ts'
import { quoteWord } from './quote.ts'
import { REDACTED, Secret } from './secret.ts'

/** Shorter known secrets are not searched for: they would tear ordinary words apart. */
const MIN_KNOWN = 4
/** What one pass has masked can make a header or a pair of what stands around it; text without secrets takes one. */
const MAX_PASSES = 4
const MAX_DEPTH = 32
/** Keys and elements visited in one value; the rest is left out and said so. */
const MAX_NODES = 100_000

/**
 * Masks every secret in a text.
 * @param known secrets to find by value, also percent-encoded, JSON-escaped, shell-quoted, in base64, and line by line
 */
export function redactText(text: string, known: readonly Secret[] = []): string {
  let masked = maskKnown(text, known)
  for (let pass = 0; pass < MAX_PASSES; pass += 1) {
    const before = masked
    masked = maskCommands(maskNamed(maskShapes(maskPem(before))))
    if (masked === before) break
  }
  return masked
}

/**
 * A copy of a value in which every secret is masked: strings by `redactText`, values under secret names whole
 * (references `{ env }` and `{ file }` stay), Secret instances, argument lists. Dates stay; bytes become their count,
 * errors their fields. Cycles, depth (32) and size (100,000 nodes) are bounded and marked.
 */
export function redactValue(value: unknown, known: readonly Secret[] = []): unknown {
  return createWalker(known)(value, { depth: 0, name: '' })
}

interface Place {
  readonly depth: number
  /** The secret name that this value stands under, or ''. */
  readonly name: string
}

function createWalker(known: readonly Secret[]): (value: unknown, place: Place) => unknown {
  const trail = new Set<object>()
  let nodes = 0

  const walk = (value: unknown, place: Place): unknown => {
    nodes += 1
    if (nodes > MAX_NODES) return '[too large]'
    if (value instanceof Secret) return REDACTED
    if (typeof value === 'string') return leaf(value, place, redactText(value, known))
    if (typeof value === 'number' || typeof value === 'bigint') return leaf(String(value), place, value)
    if (typeof value === 'function' || typeof value === 'symbol') return `[${typeof value}]`
    if (typeof value !== 'object' || value === null || value instanceof Date) return value
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`
    if (trail.has(value)) return '[circular]'
    if (place.depth >= MAX_DEPTH) return '[too deep]'
    trail.add(value)
    try {
      return walkObject(value, { depth: place.depth + 1, name: place.name && 'secret' })
    } finally {
      trail.delete(value)
    }
  }

  const walkObject = (value: object, place: Place): unknown => {
    if (value instanceof URL) return redactText(value.href, known)
    if (value instanceof Set) return walkList([...value.values()], place)
    if (Array.isArray(value)) return walkList(value, place)
    if (place.name !== '' && isReference(value)) return walkEntries(readEntries(value), { ...place, name: '' })
    return walkEntries(readEntries(value), place)
  }

  const walkList = (list: readonly unknown[], place: Place): unknown[] => {
    if (place.name !== '' || !list.every((item) => typeof item === 'string'))
      return list.map((item) => walk(item, place))
    const words = maskArgv(list)
    return words.map((word, index) => walk(word, { ...place, name: secretFlag(words[index - 1], word) }))
  }

  const walkEntries = (entries: readonly (readonly [string, unknown])[], place: Place): object => {
    const named = new Map(entries.map(([key, value]) => [key.toLowerCase(), value]))
    const isPair = [named.get('name'), named.get('key')].some((name) => typeof name === 'string' && isSecretName(name))
    const copy: Record<string, unknown> = {}
    for (const [key, value] of entries) {
      const name = isPair && key.toLowerCase() === 'value' ? 'secret' : isSecretName(key) ? key : place.name
      const masked = walk(value, { ...place, name })
      Object.defineProperty(copy, redactText(key, known), {
        value: masked,
        enumerable: true,
        writable: true,
        configurable: true,
      })
    }
    return copy
  }

  return walk
}

function leaf(text: string, { name }: Place, otherwise: unknown): unknown {
  return name === '' || isPlaceholder(text) || isOrdinary(name, text) ? otherwise : REDACTED
}

/** `['--password', 'x']`: the name of the flag when the word after it is its value. */
function secretFlag(flag: string | undefined, word: string): string {
  const name = /^--?([A-Za-z][\w-]*)$/.exec(flag ?? '')?.[1] ?? ''
  return isSecretName(name) && !isFlag(word) ? name : ''
}

function readEntries(value: object): (readonly [string, unknown])[] {
  if (value instanceof Map) return [...value].map(([key, item]) => [String(key), item] as const)
  const keys = value instanceof Error ? ['name', 'message', ...Object.keys(value), 'cause'] : Object.keys(value)
  return [...new Set(keys)].filter((key) => key in value).map((key) => [key, readProperty(value, key)] as const)
}

function readProperty(value: object, key: string): unknown {
  try {
    return (value as Record<string, unknown>)[key]
  } catch {
    return '[unreadable]'
  }
}

/** `{ env: NAME }` and `{ file: path }` say where a secret is, not what it is. */
function isReference(value: object): boolean {
  const keys = Object.keys(value)
  return keys.length === 1 && (keys[0] === 'env' || keys[0] === 'file')
}

function maskKnown(text: string, known: readonly Secret[]): string {
  if (known.length === 0) return text
  const forms = [...new Set(known.flatMap((secret) => formsOf(secret.reveal())))]
  forms.sort((a, b) => b.length - a.length)
  let parts = text.split(REDACTED)
  for (const form of forms) parts = parts.flatMap((part) => part.split(form))
  return parts.join(REDACTED)
}

function formsOf(secret: string): string[] {
  const trimmed = secret.trim()
  const lines = trimmed.includes('\n') ? trimmed.split(/\r?\n/).filter((line) => line.length >= 16) : []
  return [trimmed, ...lines]
    .filter((plain) => plain.length >= MIN_KNOWN)
    .flatMap((plain) => [
      plain,
      encodeText(plain),
      encodeText(plain).replaceAll('%20', '+'),
      JSON.stringify(plain).slice(1, -1),
      quoteWord(plain.replaceAll('\0', '')).replace(/^'|'$/g, ''),
      Buffer.from(plain).toString('base64'),
    ])
    .filter((form) => form.length >= MIN_KNOWN)
}

/** As `encodeURIComponent`, which throws on a lone surrogate. */
function encodeText(text: string): string {
  return encodeURIComponent(text.toWellFormed())
}
