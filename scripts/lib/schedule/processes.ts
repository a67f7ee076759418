/**
 * The processes of a run: all that carry its mark in their environment, wherever they have gone (a session of their own,
 * another parent), so that ending a run ends its grandchildren too. Source: proc_pid_environ(5). Where there is no /proc,
 * the process group of the run is all we have.
 */
import { readdirSync, readFileSync } from 'node:fs'
import type { Clock } from '../core/clock.ts'
import { systemCode } from '../core/errors.ts'
import { parseProcessStart, readMachine } from '../journal/machine.ts'

/** Carries the id of the slot; children inherit it. */
export const SLOT_VARIABLE = 'OPSKIT_SLOT'
const ASK_EVERY_MS = 50
/** What even KILL does not end within this waits for a disk that is gone; nobody can do more. */
const KILL_WAIT_MS = 5_000

/** @returns the processes of a run that live; not this one */
export function findProcesses(slot: string): number[] {
  const wanted = Buffer.from(`\0${SLOT_VARIABLE}=${slot}\0`)
  return pids().filter((pid) => {
    try {
      const environ = Buffer.concat([Buffer.of(0), readFileSync(`/proc/${pid}/environ`), Buffer.of(0)])
      return environ.includes(wanted) && parseProcessStart(readFileSync(`/proc/${pid}/stat`, 'latin1')) !== undefined
    } catch {
      return false
    }
  })
}

/** TERM to all of them, after the grace KILL to what is left. Resolves when none is left. */
export async function endProcesses(slot: string, { graceMs, clock, pid }: EndOptions): Promise<void> {
  signalAll(slot, 'SIGTERM', pid)
  if (await gone(slot, clock, graceMs)) return
  const end = clock.monotonic() + KILL_WAIT_MS
  // One that forks while it is killed leaves a new one: again, until there is none.
  while (clock.monotonic() < end) {
    signalAll(slot, 'SIGKILL', pid)
    if (await gone(slot, clock, ASK_EVERY_MS)) return
  }
}

export interface EndOptions {
  readonly graceMs: number
  readonly clock: Clock
  /** The leader of the group, where it is known to be ours. */
  readonly pid?: number | undefined
}

/** Text that names this process among all of this machine and boot. */
export function describeSelf(): string {
  const machine = readMachine()
  const { bootId, pidSpace, pid } = machine
  return JSON.stringify({ bootId, pidSpace, pid, start: machine.processStart(pid) ?? '' })
}

/** Does the process that `describeSelf` named still live? One in another container is believed. */
export function isAlive(description: string): boolean {
  if (description === '') return false
  const { bootId, pidSpace, pid, start } = JSON.parse(description) as Record<string, string> & { pid: number }
  const machine = readMachine()
  if (bootId !== machine.bootId) return false
  return pidSpace !== machine.pidSpace || machine.processStart(pid) === start
}

async function gone(slot: string, clock: Clock, withinMs: number): Promise<boolean> {
  const end = clock.monotonic() + withinMs
  for (;;) {
    if (findProcesses(slot).length === 0) return true
    if (clock.monotonic() >= end) return false
    await clock.sleep(ASK_EVERY_MS)
  }
}

function signalAll(slot: string, signal: NodeJS.Signals, leader: number | undefined): void {
  for (const pid of [...(leader === undefined ? [] : [-leader]), ...findProcesses(slot)]) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      // Gone already, or another user's (sudo).
      if (!['ESRCH', 'EPERM'].includes(systemCode(error) ?? '')) throw error
    }
  }
}

function pids(): number[] {
  try {
    return readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 1 && pid !== process.pid)
  } catch {
    return []
  }
}
