/**
 * What one process can know about another on the same machine: whether it is still the same process, and how much
 * time has passed for both.
 *
 * A pid alone is not a process: pids are reused and a restart begins anew. Boot id, pid namespace (a container that
 * shares the state directory counts its own pids) and the process's start time are (proc_pid_stat(5), field 22).
 */
import { readFileSync, readlinkSync } from 'node:fs'
import { systemCode } from '../core/errors.ts'

export interface Machine {
  /** Changes with every start of the machine; empty where the system does not tell. */
  readonly bootId: string
  /** Pids are comparable only within one. */
  readonly pidSpace: string
  readonly pid: number
  /**
   * Milliseconds on a clock that every process of this machine shares and nobody can step (CLOCK_MONOTONIC).
   * It stands still while the machine is suspended: nobody works then, so nobody's lease runs out.
   */
  uptimeMs(): number
  /** When a process started, as an opaque text; empty when it runs but does not say, undefined when it is gone. */
  processStart(pid: number): string | undefined
}

export function readMachine(): Machine {
  return {
    bootId: orEmpty(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    pidSpace: orEmpty(() => readlinkSync('/proc/self/ns/pid')),
    pid: process.pid,
    uptimeMs: () => Number(process.hrtime.bigint()) / 1e6,
    processStart: readProcessStart,
  }
}

function readProcessStart(pid: number): string | undefined {
  try {
    return parseProcessStart(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    // Gone, or there is no /proc, or it hides other users' processes: ask whether a signal could be sent.
    return isSignallable(pid) ? '' : undefined
  }
}

/**
 * @param stat the text of /proc/PID/stat; the name in parentheses may hold spaces and parentheses itself
 * @returns undefined for a process that is dead but not yet waited for
 */
export function parseProcessStart(stat: string): string | undefined {
  const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return state === 'Z' || state === 'X' || state === 'x' ? undefined : (rest[18] ?? '')
}

function isSignallable(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return systemCode(error) === 'EPERM'
  }
}

function orEmpty(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}
