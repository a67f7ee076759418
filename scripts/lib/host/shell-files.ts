/**
 * `get` and `put` by a POSIX shell on the far side: the same over SSH, in a container and under sudo, with nothing
 * needed but sh and coreutils or busybox. Exit statuses of our own tell what went wrong; no message is read.
 *
 * `put` counts the bytes that arrived before it renames: a connection that breaks looks to `cat` like the end of the file.
 */
import { randomBytes } from 'node:crypto'
import { OpsError, type ErrorCode } from '../core/errors.ts'
import type { Argv } from '../core/quote.ts'
import { decideResult, lastLines } from './outcome.ts'
import type { Execute, Files } from './machine.ts'

/** Default of `get`: larger files are streamed, not read. */
export const DEFAULT_MAX_BYTES = 64 * 1024 ** 2
/** Mode of a new file when none is given. */
export const DEFAULT_MODE = 0o644

/** $1 path, $2 `head` or `tail`, $3 bytes. */
const GET_SCRIPT = `p=$1
case $p in /*) ;; *) p=./$p ;; esac
if [ -e "$p" ]; then
[ -f "$p" ] || exit 92
[ -r "$p" ] || exit 93
exec "$2" -c "$3" "$p"
fi
while :; do
d=\${p%/*}
[ -n "$d" ] || exit 91
[ "$d" != "$p" ] || exit 91
[ -e "$d" ] && break
p=$d
done
[ ! -d "$d" ] || [ -x "$d" ] || exit 93
exit 91`

/** $1 path, $2 bytes to come on stdin, $3 octal mode or empty to keep, $4 octal mode of a new file, $5 suffix. */
const PUT_SCRIPT = `t=$1
case $t in /*) ;; *) t=./$t ;; esac
if [ -L "$t" ]; then t=$(readlink -f "$t") || exit 95; fi
d=\${t%/*}
[ -n "$d" ] || d=/
if [ -e "$t" ] && [ ! -f "$t" ]; then exit 92; fi
[ -d "$d" ] || exit 95
if [ ! -w "$d" ] || [ ! -x "$d" ]; then if [ "$(id -u)" = 0 ]; then exit 96; else exit 93; fi; fi
b=\${t##*/}
p=\${d%/}/.$(printf %.100s "$b").$5
umask 077
trap 'rm -f "$p"' EXIT
trap 'exit 99' HUP INT TERM PIPE
set -C
cat >"$p" || exit 97
[ "$(wc -c <"$p")" -eq "$2" ] || exit 98
m=$4
if [ -e "$t" ]; then
m=$(stat -c %a "$t") || exit 97
o=$(stat -c %u:%g "$t") || exit 97
[ "$o" = "$(stat -c %u:%g "$p")" ] || chown "$o" "$p" || exit 94
fi
chmod "\${3:-$m}" "$p" || exit 97
sync "$p" 2>/dev/null || sync
mv -f "$p" "$t" || exit 97
trap - EXIT
sync "$d" 2>/dev/null || sync
exit 0`

const REFUSALS: Readonly<Record<number, readonly [code: ErrorCode, what: string]>> = {
  92: ['FAILED', 'it is not a regular file'],
  93: ['NOT_PERMITTED', 'permission denied'],
  94: ['NOT_PERMITTED', 'its owner cannot be kept'],
  95: ['CANNOT_WRITE', 'its directory does not exist'],
  96: ['CANNOT_WRITE', 'the file system is read-only'],
  97: ['CANNOT_WRITE', 'the old file is untouched'],
  98: ['CANNOT_WRITE', 'not all bytes arrived; the old file is untouched'],
  99: ['CANNOT_WRITE', 'it was interrupted; the old file is untouched'],
}

export function getArgv(path: string, maxBytes: number, tail: boolean): Argv {
  // One byte more than allowed shows that a file is too large, without trusting a size that /proc does not tell.
  return ['sh', '-c', GET_SCRIPT, 'opskit', path, tail ? 'tail' : 'head', String(tail ? maxBytes : maxBytes + 1)]
}

export function putArgv(path: string, sizeBytes: number, mode?: number): Argv {
  const octal = (bits: number) => bits.toString(8)
  const suffix = `opskit-${randomBytes(6).toString('hex')}`
  const keep = mode === undefined ? '' : octal(mode)
  return ['sh', '-c', PUT_SCRIPT, 'opskit', path, String(sizeBytes), keep, octal(DEFAULT_MODE), suffix]
}

export function createShellFiles(host: string, execute: Execute, redact = (text: string) => text): Files {
  const finish = async (what: string, argv: Argv, options: Parameters<Execute>[1]) => {
    const { exit, stdout, stderr, durationMs } = await execute(argv, { ...options, timeoutMs: Infinity })
    const text = { stdout: '', stderr: '', stderrTail: stderr.tail() }
    const ended = { argv: ['sh'] as const, exit, ...text, durationMs, truncated: false }
    const { exitCode } = decideResult(ended, { host, okCodes: 'any', redact })
    const refusal = REFUSALS[exitCode] ?? (exitCode === 0 || exitCode === 91 ? undefined : (['FAILED', ''] as const))
    if (refusal) {
      const [code, why] = refusal
      throw new OpsError(
        code,
        `${what} on ${host}: ${why || `status ${exitCode}`}${lastLines(stderr.tail(), redact)}`,
        {
          host,
        },
      )
    }
    return exitCode === 91 ? undefined : stdout.bytes()
  }
  return {
    async get(path, { maxBytes = DEFAULT_MAX_BYTES, tail = false, signal }) {
      const what = `cannot read ${path}`
      const bytes = await finish(what, getArgv(path, maxBytes, tail), { maxOutputBytes: maxBytes + 1, signal })
      if (bytes && bytes.length > maxBytes) throw tooLarge(path, host, maxBytes)
      return bytes
    },
    async put(path, data, { mode, signal }) {
      await finish(`cannot write ${path}`, putArgv(path, data.length, mode), { input: data, signal })
    },
  }
}

export function tooLarge(path: string, host: string, maxBytes: number): OpsError {
  return new OpsError('FAILED', `${path} on ${host} is larger than ${maxBytes} bytes`, {
    host,
    hint: 'Read its end only, or stream it.',
  })
}
