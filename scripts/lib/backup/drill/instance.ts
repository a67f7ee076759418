/**
 * A private database server for a drill: in a temp directory of its own, on a Unix socket, as its own user when we are
 * root. A guard process ends it and removes the directory when it is no longer wanted, and when this program dies: the
 * guard's stdin then ends. What a killed guard leaves behind, the next drill removes.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { chown, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { OpsError } from '../../core/errors.ts'
import { printableLine } from '../../core/printable.ts'
import type { Host } from '../../host/types.ts'

export interface Instance {
  /** The directory that holds everything of it, or at least its data. */
  readonly directory: string
  readonly version: string
  /** No socket: where the client tools look by themselves. */
  readonly settings: { readonly socket?: string; readonly port?: number; readonly user: string }
  /** Where it is and its client tools run; absent: this machine. */
  readonly host?: Host
  /** Why it has ended although nobody told it to; undefined while it runs. */
  readonly readEnd?: () => Promise<OpsError | undefined>
  /** Ends the server and removes all of it. Safe to call twice. */
  stop(): Promise<void>
}

/** The superuser of a throw-away PostgreSQL: no backup knows it, so the backup's own roles are all restored. */
export const SUPERUSER = 'opskit_drill'

export interface Owner {
  readonly uid: number
  readonly gid: number
}

const PREFIX = 'opskit-instance-'
const READY_MS = 60_000
const POLL_MS = 50
const STOP_MS = 15_000
/** From being asked to end to being killed. */
const END_SECONDS = 5

/** @returns a new directory that belongs to `owner` */
export async function makeInstanceDirectory(owner: Owner | undefined): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), PREFIX))
  if (owner) await chown(directory, owner.uid, owner.gid)
  return directory
}

/**
 * $1 the directory, $2 how the server is asked to end, then the server's command. Says `ended` in a file when the server
 * ends by itself.
 */
const GUARD = `d=$1
q=$2
shift 2
echo $$ > "$d/guard.pid"
echo "$q" > "$d/end-signal"
"$@" > "$d/server.log" 2>&1 &
p=$!
echo $p > "$d/server.pid"
( while kill -0 $p 2>/dev/null; do sleep 0.2; done; : > "$d/ended" ) 2>/dev/null &
w=$!
cat > /dev/null
kill -$q $p 2>/dev/null
( sleep ${END_SECONDS}; kill -9 $p ) 2>/dev/null &
k=$!
wait $p 2>/dev/null
kill -9 $w $k 2>/dev/null
rm -rf "$d"`

export interface StartOptions {
  readonly directory: string
  readonly argv: readonly [string, ...string[]]
  readonly owner: Owner | undefined
  /**
   * How it is asked to end, without a thought for its data. A killed PostgreSQL leaves shared memory behind, of which a
   * machine has only so many pieces; QUIT is its immediate shutdown, which does not.
   */
  readonly endSignal: 'KILL' | 'QUIT'
  readonly isReady: () => Promise<boolean>
  readonly signal: AbortSignal
}

/** @throws OpsError FAILED with the end of the server's log */
export async function startGuarded({
  directory,
  argv,
  owner,
  endSignal,
  isReady,
  signal,
}: StartOptions): Promise<() => Promise<void>> {
  const child = spawn('sh', ['-c', GUARD, 'opskit-drill', directory, endSignal, ...argv], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: directory,
    ...(owner ?? {}),
  })
  const stop = () => endGuard(child, directory)
  try {
    const deadline = performance.now() + READY_MS
    while (!(await isReady())) {
      signal.throwIfAborted()
      if (await exists(join(directory, 'ended'))) throw await startError(argv[0], directory, 'ended at once')
      if (performance.now() > deadline) throw await startError(argv[0], directory, 'does not answer')
      await delay(POLL_MS)
    }
    return stop
  } catch (error) {
    await stop()
    throw error
  }
}

async function endGuard(child: ChildProcess, directory: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.stdin?.end()
    await Promise.race([ended, delay(STOP_MS, undefined, { ref: false })])
  }
  await rm(directory, { recursive: true, force: true })
}

async function startError(program: string, directory: string, what: string): Promise<OpsError> {
  const log = await readFile(join(directory, 'server.log'), 'utf8').catch(() => '')
  const last = log
    .trimEnd()
    .split('\n')
    .slice(-3)
    .map((line) => printableLine(line, 200))
    .join(' | ')
  return new OpsError('FAILED', `the private server ${program} ${what}${last ? `: ${last}` : ''}`)
}

/** Removes what killed drills left: servers that nobody guards any more, and their directories. @returns the directories */
export async function sweepInstances(): Promise<string[]> {
  const names = (await readdir(tmpdir())).filter((name) => name.startsWith(PREFIX))
  const removed: string[] = []
  for (const directory of names.map((name) => join(tmpdir(), name))) {
    const guard = await readPid(join(directory, 'guard.pid'))
    if (guard === undefined ? !(await isOld(directory)) : await mentions(guard, directory)) continue
    await endServer(directory)
    await rm(directory, { recursive: true, force: true })
    removed.push(directory)
  }
  return removed
}

async function endServer(directory: string): Promise<void> {
  const pid = await readPid(join(directory, 'server.pid'))
  if (pid === undefined || !(await mentions(pid, directory))) return
  const ask = (await readFile(join(directory, 'end-signal'), 'utf8').catch(() => '')).trim()
  process.kill(pid, ask === 'QUIT' ? 'SIGQUIT' : 'SIGKILL')
  const deadline = performance.now() + END_SECONDS * 1_000
  while ((await mentions(pid, directory)) && performance.now() < deadline) await delay(POLL_MS)
  if (await mentions(pid, directory)) process.kill(pid, 'SIGKILL')
}

/** A directory without a guard is one that is being made, for a while. */
const MAKING_MS = 10 * 60_000

async function isOld(directory: string): Promise<boolean> {
  const { mtimeMs } = await stat(directory).catch(() => ({ mtimeMs: Date.now() }))
  return Date.now() - mtimeMs > MAKING_MS
}

async function readPid(path: string): Promise<number | undefined> {
  const pid = Number((await readFile(path, 'utf8').catch(() => '')).trim())
  return Number.isInteger(pid) && pid > 1 ? pid : undefined
}

/** A process number is used again; only one that was started with this directory is ours. */
async function mentions(pid: number, directory: string): Promise<boolean> {
  const argv = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return argv.includes(directory)
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/** The user that a server wants to run as, when we are root. @throws OpsError MISSING_TOOL */
export async function readOwner(name: string, debianPackage: string): Promise<Owner | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const line = (await readFile('/etc/passwd', 'utf8')).split('\n').find((one) => one.startsWith(`${name}:`))
  const [, , uid, gid] = line?.split(':') ?? []
  if (uid === undefined || gid === undefined) {
    throw new OpsError('MISSING_TOOL', `there is no user ${name} on this machine to run a private server as`, {
      hint: `Install the server: apt-get install ${debianPackage}`,
    })
  }
  return { uid: Number(uid), gid: Number(gid) }
}
