/**
 * The frame that a command runs in where we cannot spawn it ourselves: over SSH, in a container, under sudo.
 *
 * A small POSIX shell script (dash, bash and busybox alike) enters the directory, looks whether the program exists, makes
 * sure that it leads a process group of its own, says so in one marked line on stderr, and becomes the program. So a
 * missing tool, a missing directory and a sudo that wants a password are told apart without reading any tool's messages,
 * and a command that runs over time can be killed with its children. docs/decisions/029-remote-kill.md
 */
import { randomBytes } from 'node:crypto'
import { Transform, type Readable, type TransformCallback, type Writable } from 'node:stream'
import type { Argv } from '../core/quote.ts'
import { REAP_MS, type Exit, type Running, type StartSpec } from './running.ts'

/** A started frame, before its marker is read. */
export interface RawRunning {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  readonly exited: Promise<Exit>
  /** Lets go of it, dead or not; `exited` resolves soon after. */
  abandon(): void
}

export interface FrameOptions {
  readonly sudo: boolean
  readonly start: (argv: Argv, spec: StartSpec, signal: AbortSignal) => Promise<RawRunning>
  /** True when `start` sets the environment of `spec` itself, so that it is in no argument list. */
  readonly setsEnv?: boolean
  /** Runs a short command, whatever else is going on; resolves to its exit status, rejects when it could not run. */
  readonly execute: (argv: Argv) => Promise<number>
}

/** $1 marker, $2 directory or empty, $3 number of NAME=value that follow, then the command. */
const FRAME_SCRIPT = `__m=$1 __d=$2 __n=$3
shift 3
PATH=\${PATH:-/usr/local/bin:/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin
export PATH
while [ "$__n" -gt 0 ]; do export "$1"; shift; __n=$((__n-1)); done
if [ -n "$__d" ]; then cd -- "$__d" >/dev/null 2>&1 || { echo "$__m no-cwd" >&2; exit 127; }; fi
case $1 in
*/*) if [ ! -e "$1" ]; then echo "$__m missing" >&2; exit 127; fi
if [ -d "$1" ] || [ ! -x "$1" ]; then echo "$__m denied" >&2; exit 126; fi ;;
*) command -v "$1" >/dev/null 2>&1 || { echo "$__m missing" >&2; exit 127; } ;;
esac
__g=$$
{ read -r __p __c __s __q __g __r </proc/$$/stat; } 2>/dev/null
if [ "$__g" != $$ ] && command -v setsid >/dev/null 2>&1; then set -- setsid "$@"; fi
echo "$__m pid $$" >&2
exec "$@"`

/** $1 is a process, most likely the leader of a group. SIGTERM, a quarter of a second, SIGKILL. */
const KILL_SCRIPT = `t=-$1
kill -TERM "$t" 2>/dev/null || { t=$1; kill -TERM "$t" 2>/dev/null || exit 0; }
for i in 1 2 3 4 5; do kill -0 "$t" 2>/dev/null || exit 0; sleep 0.05 2>/dev/null || sleep 1; done
kill -KILL "$t" 2>/dev/null
exit 0`

/** A marker that no command prints by chance. */
export function newMarker(): string {
  return `opskit-${randomBytes(8).toString('hex')}`
}

export function frameArgv({ argv, env = {}, cwd = '' }: StartSpec, marker: string, sudo: boolean): Argv {
  const pairs = Object.entries(env).map(([key, value]) => `${key}=${value}`)
  return withSudo(['sh', '-c', FRAME_SCRIPT, 'opskit', marker, cwd, String(pairs.length), ...pairs, ...argv], sudo)
}

export function killArgv(pid: number, sudo: boolean): Argv {
  return withSudo(['sh', '-c', KILL_SCRIPT, 'opskit', String(pid)], sudo)
}

function withSudo(argv: Argv, sudo: boolean): Argv {
  return sudo ? ['sudo', '-n', '--', ...argv] : argv
}

/** What the marked line said; `none` when stderr ended without one. */
export type FrameStatus = { readonly kind: 'missing' | 'denied' | 'no-cwd' | 'none' } | { kind: 'pid'; pid: number }

export async function startFramed(spec: StartSpec, options: FrameOptions, signal: AbortSignal): Promise<Running> {
  const marker = newMarker()
  const framed = options.setsEnv ? { ...spec, env: {} } : spec
  const raw = await options.start(frameArgv(framed, marker, options.sudo), spec, signal)
  const { stderr, status } = splitMarker(raw.stderr, marker)
  const exited = raw.exited.then(async (exit) => decideFramedExit(exit, await status, options.sudo))
  return {
    stdin: raw.stdin,
    stdout: raw.stdout,
    stderr,
    exited,
    async kill() {
      // It may be so young that its marker is still on the way.
      const known = await within(REAP_MS, status)
      const gone = known?.kind === 'pid' ? await killByPid(known.pid, options) : known !== undefined
      if (gone) await within(REAP_MS, exited)
      raw.abandon()
      return gone
    },
  }
}

/** The exit of the program, not of the frame: a frame that never reached the program says why. */
export function decideFramedExit(exit: Exit, status: FrameStatus, sudo: boolean): Exit {
  if (status.kind === 'missing' || status.kind === 'denied' || status.kind === 'no-cwd') return { kind: status.kind }
  if (status.kind === 'pid' || exit.kind !== 'code') return exit
  return sudo ? { kind: 'sudo' } : { kind: 'no-shell', code: exit.code }
}

async function killByPid(pid: number, { execute, sudo }: FrameOptions): Promise<boolean> {
  try {
    return (await execute(killArgv(pid, sudo))) === 0
  } catch {
    // Not knowing is an answer here: the caller says that the command may still be running.
    return false
  }
}

/** @returns undefined when it took longer */
async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), ms)))
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** What may come before the marker: a shell's start-up files, sudo's remarks. More is passed on unsearched. */
const MAX_PREAMBLE_BYTES = 64 * 1024

/** Cuts the marked line, and what came before it, out of stderr. Without a marker everything is passed on. */
export function splitMarker(source: Readable, marker: string): { stderr: Readable; status: Promise<FrameStatus> } {
  let resolve: (status: FrameStatus) => void
  const status = new Promise<FrameStatus>((settle) => (resolve = settle))
  let preamble: Buffer | undefined = Buffer.alloc(0)
  const pattern = new RegExp(`${marker} (missing|denied|no-cwd|pid (\\d+))\n`)

  const stderr = new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      if (preamble === undefined) return done(null, chunk)
      preamble = Buffer.concat([preamble, chunk])
      const found = pattern.exec(preamble.toString('latin1'))
      if (found) {
        resolve(found[2] === undefined ? { kind: found[1] as 'missing' } : { kind: 'pid', pid: Number(found[2]) })
        const rest = preamble.subarray(found.index + found[0].length)
        preamble = undefined
        return done(null, rest)
      }
      if (preamble.length <= MAX_PREAMBLE_BYTES) return done()
      const all = preamble
      preamble = undefined
      done(null, all)
    },
    flush(done) {
      resolve({ kind: 'none' })
      done(null, preamble)
    },
  })
  source.on('error', () => stderr.end())
  source.once('close', () => stderr.end())
  source.pipe(stderr)
  return { stderr, status }
}
