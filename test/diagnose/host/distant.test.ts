import { describe, expect, it } from 'vitest'
import { createManualClock } from '../../../scripts/lib/core/clock.ts'
import { OpsError } from '../../../scripts/lib/core/errors.ts'
import { readDistantSpace } from '../../../scripts/lib/diagnose/host/distant.ts'
import { parseMounts } from '../../../scripts/lib/diagnose/host/mounts.ts'
import type { HostReader, RunResult } from '../../../scripts/lib/host/types.ts'

const MOUNTS = parseMounts(`1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 0:50 / /mnt/good rw - nfs4 192.0.2.9:/a rw
3 1 0:51 / /mnt/dead rw - nfs4 192.0.2.9:/b rw
4 1 0:52 / /mnt/late rw - cifs //192.0.2.9/c rw
5 1 0:53 / /mnt/stale rw - fuse.sshfs x rw
`)

const answers: Record<string, () => Promise<RunResult>> = {
  '/mnt/good': async () => result('4096 100 50 40 10 5\n'),
  '/mnt/dead': () => new Promise(() => undefined),
  '/mnt/late': () => Promise.reject(new OpsError('TIMEOUT', 'stat did not end')),
  '/mnt/stale': async () => ({ ...result(''), exitCode: 1, stderr: 'stat: Stale file handle\n' }),
}

describe('distant file systems', () => {
  it('are asked at once, and one that never answers holds nobody up', async () => {
    const clock = createManualClock()
    const asked: string[] = []
    const host: HostReader = {
      name: 'web-1',
      kind: 'local',
      get: () => Promise.reject(new Error('no file is needed')),
      read: (argv) => {
        asked.push(argv.at(-1) ?? '')
        return answers[argv.at(-1) ?? '']?.() ?? Promise.reject(new Error('not expected'))
      },
    }
    const signal = new AbortController().signal
    const reading = readDistantSpace(host, MOUNTS, { clock, timeoutMs: 1000, signal })
    await clock.advance(1100)
    const systems = await reading
    expect(asked).toEqual(['/mnt/good', '/mnt/dead', '/mnt/late', '/mnt/stale'])
    expect(systems.map(({ space, unanswered }) => space?.availableBytes ?? unanswered)).toEqual([
      163_840,
      'no answer in 1 s',
      'no answer in 1 s',
      'stat: Stale file handle',
    ])
  })
})

function result(stdout: string): RunResult {
  return { argv: ['stat'], exitCode: 0, stdout, stderr: '', durationMs: 1, truncated: false }
}
