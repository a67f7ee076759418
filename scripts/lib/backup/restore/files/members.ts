/**
 * What an archive holds, as tar itself reads it: the program that will unpack it also lists it, so that nothing can look
 * harmless to a check and be something else to tar. Listing writes nothing.
 */
import { createInterface } from 'node:readline'
import { OpsError } from '../../../core/errors.ts'
import { hasFailed, stageError } from '../../pipeline/failure.ts'
import type { Place } from '../../pipeline/place.ts'
import type { FileType } from '../../files/facts.ts'
import { feed, type DecodeOptions } from '../decode.ts'

export interface Member {
  /** As the archive has it, one character a byte (latin1): `etc/nginx/nginx.conf`. */
  readonly path: string
  readonly type: FileType | 'hardlink' | 'unknown'
  readonly sizeBytes: number
  /** Of a symbolic link, as it is; of a hard link the member that it is one with. */
  readonly target?: string
}

/** Names in C quoting: whatever bytes they hold, a member is a line. `-i`: busybox leaves an end mark between its archives. */
const LIST_ARGV = [
  'tar',
  '--list',
  '-vv',
  '--file=-',
  '--ignore-zeros',
  '--numeric-owner',
  '--full-time',
  '--quoting-style=c',
] as const

const TYPE_OF: Readonly<Record<string, Member['type']>> = {
  '-': 'file',
  C: 'file',
  S: 'file',
  d: 'directory',
  l: 'link',
  h: 'hardlink',
  p: 'fifo',
  b: 'device',
  c: 'device',
}

const LINE = /^(.)\S+ +\S+ +(\S+) +\S+ +\S+ +("(?:[^"\\]|\\.)*")(?: (?:->|link to) ("(?:[^"\\]|\\.)*"))?$/

/** @throws OpsError DATA_MISMATCH when the archive cannot be read to its end */
export async function* readMembers(
  place: Place,
  { path, ...options }: DecodeOptions & { readonly path: string; readonly isLocal: boolean },
): AsyncGenerator<Member> {
  const tool = await place.start({ argv: [...LIST_ARGV], env: { LC_ALL: 'C', TZ: 'UTC' }, wantsInput: true })
  if (!tool.output) return
  const lines = createInterface({ input: tool.output, crlfDelay: Number.POSITIVE_INFINITY })
  const fed = feed(path, { ...options, into: tool.input, isPipe: options.isLocal })
  fed.catch(tool.kill)
  for await (const line of lines) yield parseMember(line)
  const end = await tool.ended
  await fed
  if (!hasFailed(end)) return
  const { message } = stageError(end, place.host, place.redact)
  throw new OpsError('DATA_MISMATCH', `${path} is no archive that tar can read: ${message}`)
}

export function parseMember(line: string): Member {
  const match = LINE.exec(line)
  if (!match)
    throw new OpsError('DATA_MISMATCH', `tar lists something that cannot be understood: ${line.slice(0, 200)}`)
  const [, letter = '', size = '', name = '', target] = match
  const type = TYPE_OF[letter] ?? 'unknown'
  const path = unquote(name).replace(/(.)\/+$/, '$1')
  return {
    path,
    type,
    sizeBytes: /^\d+$/.test(size) ? Number(size) : 0,
    ...(target === undefined ? {} : { target: unquote(target) }),
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
}

/** C quoting (GNU tar manual, 10.3.2): three octal digits for a byte, letters for some controls. */
function unquote(quoted: string): string {
  return quoted
    .slice(1, -1)
    .replace(/\\([0-7]{3}|.)/g, (_all, code: string) =>
      code.length === 3 ? String.fromCharCode(Number.parseInt(code, 8)) : (ESCAPES[code] ?? code),
    )
}
