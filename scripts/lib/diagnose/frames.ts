/**
 * Many small answers in one command's output: a shell script prints named sections, this takes them apart again.
 *
 * A section starts with a line that holds a mark nobody can guess, so a file's content can never pass for a section.
 * The script half uses only what POSIX sh has built in (printf, test) and cat: dash, bash and busybox run it.
 */
import { randomBytes } from 'node:crypto'
import { OpsError } from '../core/errors.ts'

/** Section name to its text, exactly as the file had it; a section that was not printed is absent. */
export type Texts = ReadonlyMap<string, string>

/**
 * Shell functions for a script whose `$1` is the mark:
 * `begin NAME` opens a section, `file PATH` is a section with the file's content if it can be read,
 * `has TOOL` asks whether a program can be found.
 */
export const FRAME_SCRIPT = `
mark=$1
exec 2>/dev/null
begin() { printf '\\n%s %s\\n' "$mark" "$1"; }
file() { if [ -r "$1" ]; then begin "$1"; cat "$1"; fi; }
has() { command -v "$1" >/dev/null; }
`

/** A new mark for one run of a script. */
export function createMark(): string {
  return `=${randomBytes(12).toString('hex')}=`
}

/**
 * The sections of a script that ends with `begin end`.
 * @throws OpsError FAILED when that end is missing: half an answer must not pass for a healthy machine
 */
export function parseWholeFrames(output: string, mark: string, host: string): Texts {
  const texts = parseFrames(output, mark)
  if (texts.has('end')) return texts
  throw new OpsError('FAILED', `${host} did not run the script to its end`, {
    host,
    hint: 'Is its login shell a POSIX shell that may run commands? Try: sh -c "echo ok"',
  })
}

/** @returns the sections of `output`, by name; text before the first mark (a login banner) is dropped */
export function parseFrames(output: string, mark: string): Texts {
  const texts = new Map<string, string>()
  for (const part of `\n${output}\n${mark} `.split(`\n${mark} `).slice(1, -1)) {
    const end = part.indexOf('\n')
    if (end === -1) texts.set(part, '')
    else texts.set(part.slice(0, end), part.slice(end + 1))
  }
  return texts
}
