/**
 * YAML text to plain data, with the line and column of every key and value. Syntax errors are problems like any other.
 * Bounded against hostile files: size, aliases ("billion laughs"), depth.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit, type Document, type Node } from 'yaml'
import type { Path } from './walk.ts'

/** One thing that is wrong, at a place. Lines and columns count from 1. */
export interface Problem {
  readonly line: number
  readonly column: number
  readonly message: string
}

export interface YamlFile {
  readonly data: unknown
  readonly problems: readonly Problem[]
  /** Where a key (or with 'value', what it holds) stands; the nearest place above for what is not there. */
  placeOf(path: Path, part: 'key' | 'value'): { readonly line: number; readonly column: number }
  /** A scalar as it is written (`007`, `1.10`, where `data` holds a number); undefined where none stands. */
  textAt(path: Path): string | undefined
}

/** A configuration is written by hand. */
const MAX_BYTES = 256 * 1024
const MAX_ALIASES = 100
const TOO_DEEP = 'nested too deeply'

export function parseYaml(text: string): YamlFile {
  const lines = new LineCounter()
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }
  const failed = (message: string, offset = 0): YamlFile => ({
    data: undefined,
    problems: [{ ...at(offset), message }],
    placeOf: () => at(0),
    textAt: () => undefined,
  })
  if (text.length > MAX_BYTES) return failed('the file is larger than 256 KiB')
  try {
    const doc = parseDocument(text.replace(/^\ufeff/, ''), {
      lineCounter: lines,
      prettyErrors: false,
      merge: true,
      uniqueKeys: false,
    })
    const problems = [
      ...[...doc.errors, ...doc.warnings].map(({ pos, message }) => ({ ...at(pos[0]), message: explain(message) })),
      ...duplicateKeys(doc).map(({ offset, message }) => ({ ...at(offset), message })),
    ]
    const overflow = doc.errors.find(({ message }) => message.includes('call stack'))
    if (overflow) return failed(TOO_DEEP, overflow.pos[0])
    if (problems.length > 0) return { ...failed(''), problems }
    const merge = wrongMerge(doc)
    if (merge !== undefined) return failed('<< takes a mapping or an alias of one', merge)
    const data: unknown = doc.toJS({ maxAliasCount: MAX_ALIASES })
    return {
      data,
      problems,
      placeOf: (path, part) => at(offsetOf(doc, path, part)),
      textAt: (path) => {
        const node = doc.getIn(path, true)
        return isScalar(node) ? node.source : undefined
      },
    }
  } catch (error) {
    if (error instanceof RangeError) return failed(TOO_DEEP)
    if (error instanceof ReferenceError) {
      return failed(error.message.startsWith('Excessive') ? 'too many aliases: write the values out' : error.message)
    }
    throw error
  }
}

/** The parser's messages, where they help too little. */
function explain(message: string): string {
  if (/tab/i.test(message)) return `${message}: indent with spaces`
  if (message.includes('multiple documents')) return 'only one document: nothing may follow a line of ---'
  return message
}

/** Looked for here, not by the parser, whose search takes minutes in a mapping of ten thousand keys. */
function duplicateKeys(doc: Document): { offset: number; message: string }[] {
  const found: { offset: number; message: string }[] = []
  visit(doc, {
    Map(_key, map) {
      const seen = new Set<string>()
      for (const { key } of map.items) {
        const name = isScalar(key) ? String(key.value) : undefined
        if (name === undefined) continue
        if (seen.has(name))
          found.push({ offset: (key as Node).range?.[0] ?? 0, message: `the key "${name}" is here twice` })
        seen.add(name)
      }
    },
  })
  return found
}

/** Looked for here, because the parser throws without a place. @returns where what is merged is no mapping */
function wrongMerge(doc: Document): number | undefined {
  const isMapping = (node: unknown): boolean => isMap(isAlias(node) ? node.resolve(doc) : node)
  let found: number | undefined
  visit(doc, {
    Pair(_key, { key, value }) {
      if (!isScalar(key) || key.source !== '<<' || key.type !== 'PLAIN') return undefined
      const source = isAlias(value) ? value.resolve(doc) : value
      if (isSeq(source) ? source.items.every(isMapping) : isMapping(source)) return undefined
      found = key.range?.[0] ?? 0
      return visit.BREAK
    },
  })
  return found
}

function offsetOf(doc: Document, path: Path, part: 'key' | 'value'): number {
  let node: Node | null = doc.contents
  let offset = node?.range?.[0] ?? 0
  for (const [index, step] of path.entries()) {
    if (isAlias(node)) node = node.resolve(doc) ?? null
    if (isSeq(node)) {
      node = (node.items[Number(step)] as Node | undefined) ?? null
      if (!node) return offset
      offset = node.range?.[0] ?? offset
      continue
    }
    const pair = isMap(node)
      ? node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step))
      : undefined
    if (!pair) return offset
    const key = pair.key as Node
    node = pair.value as Node | null
    const isLast = index === path.length - 1
    offset = (isLast && part === 'value' ? node?.range?.[0] : undefined) ?? key.range?.[0] ?? offset
  }
  return offset
}
