/**
 * Moves as a shell script for the machine they happen on, so that a thousand files cost a handful of processes and the
 * script lies beside the files when somebody has to finish it by hand. Both directions may be begun anywhere and repeated:
 * where a file lies tells what has happened to it.
 *
 * $S holds what is restored, $A takes what was there before, $T is where they belong. Files are kept by hard links, so that
 * there is no moment without them.
 */
import { quoteArgv, quoteWord } from '../../../core/quote.ts'
import type { Move } from './moves.ts'

export interface ScriptPlace {
  /** The directory beside the files, on their file system. */
  readonly directory: string
  /** Where the paths begin: empty for `/`. */
  readonly target: string
  /** What is put in place is nowhere else, so on the way back it returns to where it came from. */
  readonly isOnly?: boolean
}

/** More words than this are another call. */
const NAMES_PER_CALL = 400

const COMMON = `there() { [ -e "$1" ] || [ -L "$1" ]; }
like() {
  chown --reference="$1" -- "$2" 2>/dev/null || chown "$(stat -c %u:%g -- "$1")" "$2"
  chmod --reference="$1" -- "$2" 2>/dev/null || chmod "$(stat -c %a -- "$1")" "$2"
  if command -v setfacl >/dev/null 2>&1; then getfacl -p -- "$1" 2>/dev/null | setfacl --set-file=- -- "$2" 2>/dev/null || :; fi
  touch -r "$1" "$2"
}
keep() { cp -al -- "$@" 2>/dev/null || cp -af -- "$@"; }`

const FORWARD = `note() { [ -d "$A/$1" ] || { mkdir -p "$A/$1"; like "$T/$1" "$A/$1"; }; }
merge() {
  d=$1; shift
  mkdir -p "$A/$d" "$T/$d"
  for n do
    shift
    there "$S/$d/$n" && set -- "$@" "$n"
    there "$S/$d/$n" && there "$T/$d/$n" && ! there "$A/$d/$n" && keep "$T/$d/$n" "$A/$d/"
  done
  [ $# -eq 0 ] || ( cd "$S/$d" && mv -f -- "$@" "$T/$d/" )
}
turn() {
  mkdir -p "$(dirname "$A/$1")"
  there "$S/$1" || return 0
  there "$A/$1" || mv -T -- "$T/$1" "$A/$1"
  mv -T -- "$S/$1" "$T/$1"
}
gone() { mkdir -p "$(dirname "$A/$1")"; there "$T/$1" && ! there "$A/$1" && mv -T -- "$T/$1" "$A/$1"; :; }
take() { like "$S/$1" "$T/$1"; }`

/** While the restored file has not moved, what was kept is still the live one (or half of a copy of it): it is not needed. */
const BACK = `note() { :; }
merge() {
  d=$1; shift
  for n do
    if there "$S/$d/$n"; then rm -rf -- "$A/$d/$n"
    elif there "$A/$d/$n"; then mv -f -T -- "$A/$d/$n" "$T/$d/$n"
    elif there "$T/$d/$n"; then mv -T -- "$T/$d/$n" "$S/$d/$n"; fi
  done
}
turn() {
  there "$A/$1" || return 0
  there "$S/$1" || mv -T -- "$T/$1" "$S/$1"
  mv -T -- "$A/$1" "$T/$1"
}
gone() { if there "$A/$1" && ! there "$T/$1"; then mv -T -- "$A/$1" "$T/$1"; fi; }
take() { if [ -d "$A/$1" ]; then like "$A/$1" "$T/$1"; fi; }`

/** There is a moment without the file, and never one without one of the two. */
const BACK_ONLY = `merge() {
  d=$1; shift
  for n do
    if there "$S/$d/$n" && there "$T/$d/$n"; then rm -rf -- "$A/$d/$n"
    elif there "$A/$d/$n"; then
      there "$S/$d/$n" || mv -T -- "$T/$d/$n" "$S/$d/$n"
      mv -f -T -- "$A/$d/$n" "$T/$d/$n"
    elif there "$T/$d/$n"; then mv -T -- "$T/$d/$n" "$S/$d/$n"; fi
  done
}`

/** @param moves names one character a byte (latin1): they need not be UTF-8 */
export function formatMoves(moves: readonly Move[], place: ScriptPlace, direction: 'forward' | 'back'): Buffer {
  const ordered = direction === 'forward' ? moves : [...moves].reverse().toSorted((a, b) => last(a) - last(b))
  const notes = moves.flatMap((move) => (move.kind === 'take' ? [quoteArgv(['note', move.path])] : []))
  const lines = [
    'set -eu',
    `P=${quoteWord(latin1(place.directory))}`,
    'S=$P/restored A=$P/before',
    `T=${quoteWord(latin1(place.target))}`,
    COMMON,
    direction === 'forward' ? FORWARD : BACK,
    ...(direction === 'back' && place.isOnly ? [BACK_ONLY] : []),
    ...notes,
    ...ordered.flatMap(formatMove),
  ]
  return Buffer.from(`${lines.join('\n')}\n`, 'latin1')
}

/** The time of a directory changes with its files, so directories come last in both directions. */
function last(move: Move): number {
  return move.kind === 'take' ? 1 : 0
}

function formatMove(move: Move): string[] {
  if (move.kind !== 'merge') return [quoteArgv([move.kind, move.path])]
  const calls: string[] = []
  for (let at = 0; at < move.names.length; at += NAMES_PER_CALL) {
    const names = move.names.slice(at, at + NAMES_PER_CALL)
    calls.push(quoteArgv(['merge', move.directory, ...names]))
  }
  return calls
}

/** Text as the bytes it stands for, one character each. */
function latin1(text: string): string {
  return Buffer.from(text).toString('latin1')
}
