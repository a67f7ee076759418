/**
 * What a statement of a dump is for, and so when it may run: what makes a table before its rows, what acts on rows
 * (triggers) or needs everything (views, routines, events) after them. Settings go with the statement that they stand before.
 */
import { OpsError } from '../../../core/errors.ts'
import { printableLine } from '../../../core/printable.ts'

export type Purpose =
  /** `USE`, `CREATE DATABASE`: where a dump goes is not its own decision. */
  | { readonly kind: 'place' }
  /** Locks and `DISABLE KEYS`: between sessions they would only be in the way. */
  | { readonly kind: 'locks' }
  /** Changes what the next statement means. */
  | { readonly kind: 'before' }
  /** Drops what the next statement makes. */
  | { readonly kind: 'drop' }
  /** Puts a setting back. */
  | { readonly kind: 'after' }
  | { readonly kind: 'table'; readonly name: string }
  /** A sequence, or the table-like stand-in of a view that other views may name already. */
  | { readonly kind: 'stand-in'; readonly name: string }
  | { readonly kind: 'trigger'; readonly name: string; readonly table: string }
  | { readonly kind: 'view' | 'routine' | 'event'; readonly name: string }
  | { readonly kind: 'other' }

const NAME = '`((?:[^`]|``)*)`'
/** An account, quoted in any of the ways there are. */
const ACCOUNT = /(?:`(?:[^`]|``)*`|'[^']*'|[\w$]+)(?:\s*@\s*(?:`(?:[^`]|``)*`|'[^']*'|[\w.%$]+))?/.source
const DEFINER = new RegExp(`\\bDEFINER\\s*=\\s*${ACCOUNT}\\s*`, 'i')
/** Where what an object is stands; its body, which may say anything, comes later. */
const HEAD_CHARS = 2_000

const SIMPLE: readonly (readonly [RegExp, Purpose['kind'] & ('place' | 'locks' | 'after' | 'before' | 'drop')])[] = [
  [/^(?:USE|CREATE DATABASE|DROP DATABASE)\b/i, 'place'],
  [/^(?:LOCK TABLES\b|UNLOCK TABLES\b|set autocommit=0$|commit$)/i, 'locks'],
  [/^ALTER TABLE .* (?:DISABLE|ENABLE) KEYS\s*$/is, 'locks'],
  [/^SET\s+[^;]*=\s*@(?:saved?|OLD)_\w+\s*$/i, 'after'],
  [/^SET\s/i, 'before'],
  [/^DROP (?:TABLE|VIEW|SEQUENCE|TRIGGER|FUNCTION|PROCEDURE|EVENT|PACKAGE)\b/i, 'drop'],
]

const CREATE = /^CREATE\s+(?:OR REPLACE\s+)?(?:ALGORITHM\s*=\s*\w+\s+)?(?:SQL SECURITY \w+\s+)?(?:AGGREGATE\s+)?/.source
const NAMED = new RegExp(
  `${CREATE}(TABLE|SEQUENCE|VIEW|FUNCTION|PROCEDURE|PACKAGE BODY|PACKAGE|EVENT)\\s+(?:IF NOT EXISTS\\s+)?${NAME}`,
  'is',
)
/** The dump has a trigger as it was typed, so names may be bare, and the database in front of them. */
const TYPED = '(`(?:[^`]|``)*`|[\\w$\\u0080-\\u00ff]+)'
const WITHIN = `(?:${TYPED}\\s*\\.\\s*)?`
const TRIGGER = new RegExp(
  `(\\bTRIGGER\\s+(?:IF NOT EXISTS\\s+)?)${WITHIN}${TYPED}(\\s+(?:BEFORE|AFTER)\\s+.{1,60}?\\s+ON\\s+)${WITHIN}${TYPED}`,
  'is',
)
const IS_TRIGGER = new RegExp(`${CREATE}TRIGGER\\b`, 'i')
const SEQUENCE_VALUE = new RegExp(`^(?:DO|SELECT)\\s+SETVAL\\(\\s*${NAME}`, 'is')

/** @param text one character a byte (latin1); the names that come back are text */
export function decidePurpose(text: string): Purpose {
  const head = readHead(text)
  const simple = SIMPLE.find(([pattern]) => pattern.test(head))
  if (simple) return { kind: simple[1] }
  const value = SEQUENCE_VALUE.exec(head)
  if (value) return { kind: 'stand-in', name: nameOf(value[1]) }
  if (IS_TRIGGER.test(head)) return readTrigger(head)
  const named = NAMED.exec(head)
  const name = nameOf(named?.[2])
  switch (named?.[1]?.toUpperCase()) {
    case 'TABLE':
      return text.startsWith('/*!') ? { kind: 'stand-in', name } : { kind: 'table', name }
    case 'SEQUENCE':
      return { kind: 'stand-in', name }
    case 'VIEW':
      // The dump tool writes a stand-in without an algorithm and the view itself with one.
      return /^CREATE\s+VIEW/i.test(head) ? { kind: 'stand-in', name } : { kind: 'view', name }
    case 'EVENT':
      return { kind: 'event', name }
    case undefined:
      return { kind: 'other' }
    default:
      return { kind: 'routine', name }
  }
}

/**
 * A trigger made where the dump is loaded: with a database in front of its names it would be made in the live one.
 * @throws OpsError DATA_MISMATCH for a trigger that cannot be understood
 */
export function withinDatabase(text: string): string {
  readTrigger(text)
  return text.replace(TRIGGER, '$1$3$4$6')
}

function readTrigger(text: string): Purpose {
  const found = TRIGGER.exec(text.slice(0, HEAD_CHARS))
  if (!found) {
    throw new OpsError('DATA_MISMATCH', `a trigger of the dump cannot be understood: ${printableLine(text, 120)}`)
  }
  const [, , , name = '', , , table = ''] = found
  return { kind: 'trigger', name: typedName(name), table: typedName(table) }
}

function typedName(typed: string): string {
  return nameOf(typed.startsWith('`') ? typed.slice(1, -1) : typed)
}

/** The same object, owned by whoever loads it: for accounts that may not name another owner (SET USER). */
export function withoutDefiner(text: string): string {
  const found = DEFINER.exec(text.slice(0, HEAD_CHARS))
  if (!found) return text
  const before = text.slice(0, found.index)
  // Past the name of the object a definer is part of a body.
  if (/\b(?:TRIGGER|VIEW|FUNCTION|PROCEDURE|EVENT|PACKAGE)\s+(?:IF NOT EXISTS\s+)?`/i.test(before)) return text
  return before + text.slice(found.index + found[0].length)
}

/** The beginning of a statement, without the comments that hide it from other servers and without its definer. */
function readHead(text: string): string {
  const head = text
    .slice(0, HEAD_CHARS)
    .replace(/\/\*M?!\d+\s*/g, '')
    .replace(/\*\//g, ' ')
  return head
    .replace(DEFINER, '')
    .trim()
    .replace(/^(CREATE)\s+/i, '$1 ')
}

function nameOf(quoted = ''): string {
  return Buffer.from(quoted.replaceAll('``', '`'), 'latin1').toString()
}
