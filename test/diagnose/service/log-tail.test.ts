/** How much of a log is read, and when the rotated one is. */
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readLogTail } from '../../../scripts/lib/diagnose/service/log-tail.ts'
import { readTraffic } from '../../../scripts/lib/diagnose/service/nginx/access.ts'
import { tempDir } from '../../support/temp.ts'
import { createCountingReader } from './support.ts'

const MIB = 1024 * 1024
const timeOf = (line: string) => (/^\d+ /.test(line) ? Number.parseInt(line, 10) : undefined)

/** Lines `TIME xxx…` of 100 bytes each. */
const linesAt = (times: readonly number[]) => times.map((time) => `${String(time)} `.padEnd(99, 'x')).join('\n') + '\n'
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)

async function readIn(
  files: Readonly<Record<string, string>>,
  options: { sinceMs: number; maxBytes?: number; now?: number },
) {
  const dir = await tempDir('log-tail')
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text)
  const reader = createCountingReader()
  const tail = await readLogTail(reader, join(dir, 'a.log'), { now: 0, maxBytes: 8 * MIB, timeOf, ...options })
  const times = tail?.text.split('\n').flatMap((line) => (line === '' ? [] : [Number.parseInt(line, 10)])) ?? []
  return { tail, times, bytesRead: reader.bytesRead() }
}

describe('the end of a log', () => {
  it('is undefined when there is no log', async () => {
    expect((await readIn({}, { sinceMs: 0 })).tail).toBeUndefined()
  })

  it('takes the small piece when that reaches back far enough', async () => {
    const { tail, times, bytesRead } = await readIn({ 'a.log': linesAt(range(0, 20_000)) }, { sinceMs: 19_000 })
    expect(tail?.complete).toBe(true)
    expect(times.at(-1)).toBe(19_999)
    expect(bytesRead).toBe(512 * 1024)
  })

  it('takes the large piece when the time asked for reaches further back, and no torn line', async () => {
    const { tail, times } = await readIn({ 'a.log': linesAt(range(0, 20_000)) }, { sinceMs: 5000 })
    expect(tail?.complete).toBe(true)
    expect(times).toEqual(range(0, 20_000))
  })

  it('says so when the log is busier than what is read of it', async () => {
    const { tail, times, bytesRead } = await readIn(
      { 'a.log': linesAt(range(0, 20_000)) },
      { sinceMs: 5000, maxBytes: MIB },
    )
    expect(tail?.complete).toBe(false)
    expect(times).toEqual(range(20_000 - Math.floor(MIB / 100), 20_000))
    expect(bytesRead).toBe(MIB + 512 * 1024)
  })

  it.each(['a.log.1', 'a.log-20261120'])('looks into %s when the log was just rotated', async (rotated) => {
    const files = { 'a.log': linesAt([50, 51]), [rotated]: linesAt(range(0, 50)) }
    const { tail, times } = await readIn(files, { sinceMs: 20, now: Date.UTC(2026, 10, 20) })
    expect(tail).toMatchObject({ complete: true })
    expect(tail?.rotated).toMatch(rotated)
    expect(times).toEqual(range(0, 52))
  })

  it('looks into the rotated one when the log is empty', async () => {
    const { times } = await readIn({ 'a.log': '', 'a.log.1': linesAt([1, 2]) }, { sinceMs: 0 })
    expect(times).toEqual([1, 2])
  })

  it('leaves the rotated one alone when the log itself reaches back', async () => {
    const { times } = await readIn({ 'a.log': linesAt([10, 60]), 'a.log.1': linesAt([1, 2]) }, { sinceMs: 20 })
    expect(times).toEqual([10, 60])
  })

  it('copes with one endless line', async () => {
    const { tail } = await readIn(
      { 'a.log': `${linesAt([1])}${'x'.repeat(10 * MIB)}` },
      { sinceMs: 5, maxBytes: 2 * MIB },
    )
    expect(tail?.complete).toBe(false)
  })
})

it('counts only the requests of the window', async () => {
  const path = join(await tempDir('window'), 'access.log')
  const line = (time: string, status: number) =>
    `192.0.2.1 - - [20/Nov/2026:${time} +0000] "GET /a HTTP/1.1" ${status} 1\n`
  await writeFile(path, line('23:00:00', 500) + line('23:14:59', 500) + line('23:15:00', 404) + line('23:29:59', 200))
  const now = Date.UTC(2026, 10, 20, 23, 30)
  const traffic = await readTraffic(createCountingReader(), { path, recentMs: 900_000, now, maxBytes: MIB })
  expect(traffic).toMatchObject({ requests: 2, coveredMs: 900_000, complete: true })
  expect([...(traffic?.byStatus ?? [])]).toEqual([
    [404, 1],
    [200, 1],
  ])
})

it('reads a log of 5 GB no further than its last megabytes', async () => {
  const dir = await tempDir('huge')
  const path = join(dir, 'access.log')
  const now = Date.UTC(2026, 10, 20, 23, 30)
  const line = `192.0.2.1 - - [20/Nov/2026:23:29:58 +0000] "GET /a HTTP/1.1" 200 1 "-" "-" 0.001\n`
  const file = await open(path, 'w')
  await file.truncate(5 * 1024 * MIB)
  await file.write(line.repeat(120_000), 5 * 1024 * MIB)
  await file.close()
  const reader = createCountingReader()
  const traffic = await readTraffic(reader, { path, recentMs: 900_000, now, maxBytes: 8 * MIB })
  expect(reader.bytesRead()).toBe(8 * MIB + 512 * 1024)
  expect(traffic).toMatchObject({ complete: false, coveredMs: 2000, unreadableLines: 0 })
  expect(traffic?.requests).toBe(Math.floor((8 * MIB) / line.length))
})
