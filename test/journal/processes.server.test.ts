/** The journal among real processes: concurrent writers, racing and dying lease holders, full and forbidden disks. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openJournal } from '../../scripts/lib/journal/index.ts'
import { tempDir } from '../support/temp.ts'
import { waitFor } from '../support/wait.ts'

const CHILD = new URL('child.ts', import.meta.url).pathname
const IS_ROOT = process.getuid?.() === 0

interface Child {
  readonly process: ChildProcess
  readonly lines: string[]
  line(index: number): Promise<string>
  ended(): Promise<void>
}

function startChild(args: readonly string[], wrapper: readonly string[] = []): Child {
  const [program = '', ...rest] = [...wrapper, process.execPath, CHILD, ...args]
  const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  const closed = once(child, 'close')
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await closed
  })
  return {
    process: child,
    lines,
    line: (index) => waitFor(`line ${index} of ${args.join(' ')}`, () => lines[index], 30_000),
    ended: async () => void (await closed),
  }
}

async function openInTest(dir: string) {
  const journal = openJournal({ dir })
  onTestFinished(() => journal.close())
  return journal
}

describe('several processes', () => {
  it('write thousands of events at once and none is lost', async () => {
    const dir = await tempDir('journal')
    const [writers, each] = [4, 500]
    const children = Array.from({ length: writers }, () => startChild(['write', dir, String(each)]))
    await Promise.all(children.map((child) => child.ended()))
    expect(children.map((child) => child.lines)).toEqual(Array.from({ length: writers }, () => ['done']))

    const journal = await openInTest(dir)
    const events = journal.events({ order: 'oldest', limit: 10_000 })
    expect(events.map((event) => event.id)).toEqual(Array.from({ length: writers * each }, (_, index) => index + 1))
    const runs = Map.groupBy(events, (event) => event.runId)
    expect(runs.size).toBe(writers)
    const inOrder = Array.from({ length: each }, (_, index) => `${index}`)
    for (const run of runs.values()) expect(run.map((event) => event.message)).toEqual(inOrder)
  })

  it('open a new journal at once, and each migration runs once', async () => {
    const dir = join(await tempDir('journal'), 'new')
    const children = Array.from({ length: 10 }, () => startChild(['migrate', dir]))
    await Promise.all(children.map((child) => child.ended()))
    expect(children.flatMap((child) => child.lines)).toEqual(Array(10).fill('done'))
    const journal = await openInTest(dir)
    expect(journal.sql.all(`SELECT name FROM sqlite_master WHERE name GLOB 'room_[0-9]*'`)).toHaveLength(20)
  })

  it('find a whole journal, and no part of a transaction, after a kill -9 in the middle of it', async () => {
    const dir = await tempDir('journal')
    const journal = await openInTest(dir)
    journal.record({ kind: 'before', message: 'committed' })
    const child = startChild(['hang-in-transaction', dir])
    await child.line(0)
    child.process.kill('SIGKILL')
    await child.ended()
    journal.record({ kind: 'after', message: 'committed' })
    expect(journal.events().map((event) => event.kind)).toEqual(['after', 'before'])
    expect(journal.sql.get('PRAGMA integrity_check')).toEqual({ integrity_check: 'ok' })
  })
})

describe('a process that hangs while it writes', () => {
  it('does not stop others from opening and reading; a writer waits as long as it may', async () => {
    const dir = await tempDir('journal')
    openJournal({ dir }).close()
    const child = startChild(['hang-in-transaction', dir])
    await child.line(0)
    const journal = openJournal({ dir, busyTimeoutMs: 200 })
    onTestFinished(() => journal.close())
    expect(journal.events()).toEqual([])
    const write = () => journal.record({ kind: 'test', message: 'too late' })
    expect(write).toThrow(
      expect.objectContaining({ code: 'LOCKED', message: expect.stringContaining('busy') as string }),
    )
  })
})

describe('a lease among processes', () => {
  it('goes to exactly one of 20 that want it at the same moment', async () => {
    const dir = await tempDir('journal')
    const racers = Array.from({ length: 20 }, () => startChild(['race', dir, 'prize']))
    await Promise.all(racers.map((racer) => racer.line(0)))
    racers.forEach((racer) => racer.process.stdin?.write('go\n'))
    const outcomes = await Promise.all(racers.map((racer) => racer.line(1)))
    expect(outcomes.filter((line) => line.startsWith('won'))).toHaveLength(1)
    expect(outcomes.filter((line) => line === 'lost LOCKED')).toHaveLength(19)
  })

  it('is taken at once, by exactly one of several, from a holder that was killed with -9', async () => {
    const dir = await tempDir('journal')
    const holder = startChild(['hold', dir, 'prize'])
    const token = Number((await holder.line(0)).split(' ')[1])
    const racers = Array.from({ length: 5 }, () => startChild(['race', dir, 'prize']))
    await Promise.all(racers.map((racer) => racer.line(0)))
    holder.process.kill('SIGKILL')
    await holder.ended()
    racers.forEach((racer) => racer.process.stdin?.write('go\n'))
    const outcomes = await Promise.all(racers.map((racer) => racer.line(1)))
    const winners = outcomes.filter((line) => line.startsWith('won'))
    expect(winners).toHaveLength(1)
    expect(Number(winners[0]?.split(' ')[1])).toBeGreaterThan(token)
  })

  it('lapses for a holder that is frozen, and the holder is told when it wakes', async () => {
    const dir = await tempDir('journal')
    const holder = startChild(['hold', dir, 'prize', '2000'])
    await holder.line(0)
    const journal = await openInTest(dir)
    expect(() => journal.acquire({ name: 'prize', reason: 'test' })).toThrow('is held by')
    holder.process.kill('SIGSTOP')
    const lease = await waitFor('the lease to lapse', () => journal.acquire({ name: 'prize', reason: 'test' }))
    expect(journal.events({ kind: 'lease' })[0]?.message).toContain('it was not renewed for')
    holder.process.kill('SIGCONT')
    expect(await holder.line(1)).toBe('lost LOCKED')
    lease.renew()
  })
})

describe('a disk', () => {
  // A mount namespace of its own: the small disk is gone with the process, however that ends.
  const unshare = ['unshare', ...(IS_ROOT ? [] : ['--map-root-user']), '--mount', 'sh', '-ec']

  it('that is full is said so, still reads, and takes events again when there is room', async () => {
    const dir = await tempDir('disk')
    const script = 'mount -t tmpfs -o size=2m tmpfs "$0"; head -c 1000000 /dev/zero >"$0/ballast"; exec "$@"'
    const child = startChild(['fill', dir, join(dir, 'ballast')], [...unshare, script, dir])
    await child.ended()
    expect(child.lines).toEqual(['CANNOT_WRITE', 'reads 3', 'after ok'])
  })

  it.each([
    ['full from the start', 'mount -t tmpfs -o size=16k tmpfs "$0"; head -c 16384 /dev/zero >"$0/x"; exec "$@"'],
    ['read-only', 'mount -t tmpfs tmpfs "$0"; mount -o remount,ro "$0"; exec "$@"'],
  ])('that is %s cannot be written', async (_title, script) => {
    const dir = await tempDir('disk')
    const child = startChild(['open', dir], [...unshare, script, dir])
    await child.ended()
    expect(child.lines).toEqual(['CANNOT_WRITE'])
  })

  it('on which this user may not write is not permitted', async () => {
    const dir = await tempDir('disk')
    chmodSync(dir, 0o500)
    // Root may write anywhere, but for one without its capabilities.
    const child = startChild(['open', dir], IS_ROOT ? ['setpriv', '--bounding-set=-all', '--inh-caps=-all'] : [])
    await child.ended()
    expect(child.lines).toEqual(['NOT_PERMITTED'])
  })
})
