import { describe, expect, it, onTestFinished } from 'vitest'
import { createManualClock, type ManualClock } from '../../scripts/lib/core/clock.ts'
import { isOpsError, type OpsError } from '../../scripts/lib/core/errors.ts'
import { openJournal } from '../../scripts/lib/journal/index.ts'
import { decideLive, type HeldLease } from '../../scripts/lib/journal/leases.ts'
import { parseProcessStart, readMachine, type Machine } from '../../scripts/lib/journal/machine.ts'
import { tempDir } from '../support/temp.ts'
import { waitFor } from '../support/wait.ts'

const START = Date.UTC(2026, 0, 1)

/** Two processes of one machine, as far as a journal can tell. */
async function twoProcesses() {
  const dir = await tempDir()
  const clock = createManualClock(START)
  const alive = new Map([
    [100, '7001'],
    [200, '7002'],
  ])
  const open = (pid: number) => {
    const journal = openJournal({ dir, clock, actor: `root@web-1`, runId: `run-${pid}`, machine: machineOf(pid) })
    onTestFinished(() => journal.close())
    return journal
  }
  const machineOf = (pid: number): Machine => ({ ...machine(clock), pid, processStart: (other) => alive.get(other) })
  return { clock, alive, a: open(100), b: open(200) }
}

function machine(clock: ManualClock): Machine {
  return { bootId: 'boot-1', pidSpace: 'pid:[1]', pid: 1, uptimeMs: () => clock.monotonic(), processStart: () => '1' }
}

const request = { name: 'upstream:web-1:api', reason: 'upstream.disable web-2', ttlMs: 60_000 }

describe('a lease', () => {
  it('is refused to a second process with who holds it, why, since when, until when, and what to do', async () => {
    const { a, b, clock } = await twoProcesses()
    a.acquire(request)
    await clock.advance(5_000)
    const error = caught(() => b.acquire(request))
    expect(error.code).toBe('LOCKED')
    expect(error.details.transient).toBe(true)
    expect(error.message).toBe(
      'upstream:web-1:api is held by root@web-1 (pid 100) for "upstream.disable web-2" ' +
        'since 2026-01-01 00:00:00Z, until 2026-01-01 00:01:00Z unless renewed',
    )
    expect(error.details.hint).toContain('process 100')
  })

  it('is refused to the same process too: two tasks of one daemon are two', async () => {
    const { a } = await twoProcesses()
    a.acquire(request)
    expect(caught(() => a.acquire(request)).code).toBe('LOCKED')
  })

  it('is free after release, which may be called twice, and never takes what another got since', async () => {
    const { a, b } = await twoProcesses()
    const first = a.acquire(request)
    first.release()
    const second = b.acquire(request)
    first.release()
    expect(b.leases()).toHaveLength(1)
    expect(second.fencingToken).toBeGreaterThan(first.fencingToken)
    expect(caught(() => first.renew()).code).toBe('LOCKED')
  })

  it('is free when its journal closes', async () => {
    const { a, b } = await twoProcesses()
    a.acquire(request)
    a.close()
    expect(b.leases()).toEqual([])
    b.acquire(request)
  })

  it('is taken at once from a process that died, and the journal says so', async () => {
    const { a, b, alive } = await twoProcesses()
    a.acquire(request)
    alive.delete(100)
    expect(b.leases()).toEqual([])
    b.acquire(request)
    expect(b.events({ kind: 'lease' })[0]?.message).toBe(
      'Took over upstream:web-1:api from root@web-1 (pid 100): process 100 is gone',
    )
  })

  it('lapses without renewal, and its holder is told by the next renew and by `lost`', async () => {
    const { a, b, clock } = await twoProcesses()
    const stale = a.acquire(request)
    await clock.advance(60_001)
    const fresh = b.acquire(request)
    const error = caught(() => stale.renew())
    expect(error.code).toBe('LOCKED')
    expect(error.message).toContain('went to root@web-1 (pid 200)')
    expect(stale.lost.reason).toBe(error)
    expect(caught(() => stale.renew())).toBe(error)
    stale.release()
    expect(b.leases()[0]?.pid).toBe(200)
    expect(fresh.fencingToken).toBeGreaterThan(stale.fencingToken)
  })

  it('that lapsed and went to another is not taken from it by the release, or the closing, of the first', async () => {
    const { a, b, clock } = await twoProcesses()
    const [first, second] = [a.acquire(request), a.acquire({ ...request, name: 'other' })]
    await clock.advance(60_001)
    b.acquire(request)
    b.acquire({ ...request, name: second.name })
    first.release()
    a.close()
    expect(b.leases().map((lease) => lease.pid)).toEqual([200, 200])
  })

  it('is extended by renew', async () => {
    const { a, b, clock } = await twoProcesses()
    const lease = a.acquire(request)
    await clock.advance(50_000)
    lease.renew()
    await clock.advance(50_000)
    expect(caught(() => b.acquire(request)).code).toBe('LOCKED')
    expect(b.leases()[0]?.expiresAt).toBe(START + 110_000)
  })

  it.each([86_400_000 * 365, -86_400_000 * 365])('is not moved by a wall clock that steps by %d ms', async (stepMs) => {
    const { a, b, clock } = await twoProcesses()
    const lease = a.acquire(request)
    clock.step(stepMs)
    expect(caught(() => b.acquire(request)).code).toBe('LOCKED')
    await clock.advance(60_001)
    expect(b.acquire(request).fencingToken).toBeGreaterThan(lease.fencingToken)
  })

  it('is renewed in the background for as long as its process lives', async () => {
    const dir = await tempDir()
    const [a, b] = [openJournal({ dir }), openJournal({ dir })]
    onTestFinished(() => [a, b].forEach((journal) => journal.close()))
    const lease = a.acquire({ ...request, ttlMs: 1_500 })
    const firstExpiry = b.leases()[0]?.expiresAt ?? 0
    await waitFor('two renewals', () => (b.leases()[0]?.expiresAt ?? 0) > firstExpiry + 900)
    expect(caught(() => b.acquire(request)).code).toBe('LOCKED')
    expect(lease.lost.aborted).toBe(false)
  })

  it('that was lost is noticed in the background', async () => {
    const dir = await tempDir()
    const [a, b] = [openJournal({ dir }), openJournal({ dir })]
    onTestFinished(() => [a, b].forEach((journal) => journal.close()))
    const lease = a.acquire({ ...request, ttlMs: 60 })
    b.sql.run('DELETE FROM leases')
    await waitFor('the loss to be seen', () => lease.lost.aborted)
    expect(isOpsError(lease.lost.reason, 'LOCKED')).toBe(true)
  })

  it('cannot be acquired inside a transaction', async () => {
    const { a } = await twoProcesses()
    expect(() => a.transaction(() => a.acquire(request))).toThrow('inside a transaction')
  })
})

describe('fencing tokens', () => {
  it('only grow: across names, releases and a new database', async () => {
    const clock = createManualClock(START)
    const tokens: number[] = []
    for (const dir of [await tempDir(), await tempDir()]) {
      const journal = openJournal({ dir, clock, machine: machine(clock) })
      for (const name of ['x', 'y', 'x', 'x']) {
        const lease = journal.acquire({ name, reason: 'test' })
        tokens.push(lease.fencingToken)
        lease.release()
      }
      journal.close()
      await clock.advance(1_000)
    }
    expect(tokens).toEqual([...tokens].sort((x, y) => x - y))
    expect(new Set(tokens).size).toBe(tokens.length)
  })
})

describe('whether a holder lives', () => {
  const clock = createManualClock(START)
  const held: HeldLease = {
    ...{ name: 'n', owner: 'o', reason: 'r', acquiredAt: START, expiresAt: START + 60_000, fencingToken: 1 },
    ...{ pid: 9, processStart: '77', pidSpace: 'pid:[1]', bootId: 'boot-1', expiresUptimeMs: 60_000, ttlMs: 60_000 },
  }
  const left = 'process 9 holds it for another 1 min'
  const lapsed = 'it was not renewed for 1 min'
  it.each<[string, { lease?: Partial<HeldLease>; start?: string }, string]>([
    ['a running process holds', { start: '77' }, left],
    ['a running process that hides its start holds', { start: '' }, left],
    ['a process that is gone does not', {}, 'process 9 is gone'],
    ['a pid that was reused does not', { start: '78' }, 'process 9 is another one by now'],
    ['an earlier boot does not', { lease: { bootId: 'boot-0' }, start: '77' }, 'the machine has restarted since'],
    ['a time that is up does not', { lease: { expiresUptimeMs: 0 }, start: '77' }, lapsed],
    [
      'more time than was given does not',
      { lease: { expiresUptimeMs: 60_001 }, start: '77' },
      'the machine has restarted since',
    ],
    ['another container holds, its pids are its own', { lease: { pidSpace: 'pid:[2]' } }, left],
    ['another container whose time is up does not', { lease: { pidSpace: 'pid:[2]', expiresUptimeMs: 0 } }, lapsed],
  ])('%s', (_title, { lease, start }, because) => {
    const verdict = decideLive({ ...held, ...lease }, { ...machine(clock), processStart: () => start })
    expect(verdict).toEqual({ live: because === left, because })
  })
})

describe('this machine', () => {
  it('knows when a process started, and that a dead one which nobody waited for is gone', () => {
    expect(parseProcessStart(`7 (a b) R) S ${Array(18).fill('0').join(' ')} 4242 99`)).toBe('4242')
    expect(parseProcessStart(`7 (node) Z ${Array(18).fill('0').join(' ')} 4242 99`)).toBeUndefined()
  })

  it('tells itself apart, and has no process beyond the largest pid', () => {
    const here = readMachine()
    expect(here.processStart(here.pid)).toMatch(/^\d+$/)
    expect(here.processStart(2 ** 22 + 1)).toBeUndefined()
    expect([here.bootId, here.pidSpace].every((text) => text !== '')).toBe(true)
  })
})

function caught(work: () => unknown): OpsError {
  try {
    work()
  } catch (error) {
    if (isOpsError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
