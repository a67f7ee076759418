/** This machine against the contract: by itself, and through sudo. */
import { vi } from 'vitest'
import { openLocalHost } from '../../scripts/lib/host/local.ts'
import type { Host } from '../../scripts/lib/host/types.ts'
import { makeTempDir } from '../support/temp.ts'
import { mountMemory } from '../support/mounts.ts'
import { describeHost, type HostFixture } from './contract.ts'

async function openFixture(open: () => Host): Promise<HostFixture> {
  const temp = await makeTempDir('local')
  const work = await mountMemory(`${temp.path}/work`, { size: '100m' })
  const tiny = await mountMemory(`${temp.path}/tiny`)
  const locked = await mountMemory(`${temp.path}/locked`, { readOnly: true })
  const host = open()
  return {
    host,
    dir: work.path,
    tinyDir: tiny.path,
    lockedDir: locked.path,
    lockedCode: 'CANNOT_WRITE',
    async close() {
      await host.close()
      await work.unmount()
      await tiny.unmount()
      await locked.unmount()
      await temp.remove()
    },
  }
}

describeHost('a local host', () => openFixture(() => openLocalHost()))

describeHost('a local host, through sudo', () =>
  openFixture(() => {
    // The suite runs as root, where sudo would be skipped.
    const asUser = vi.spyOn(process, 'getuid').mockReturnValue(1000)
    try {
      return openLocalHost({ name: 'ops-1', sudo: true })
    } finally {
      asUser.mockRestore()
    }
  }),
)
