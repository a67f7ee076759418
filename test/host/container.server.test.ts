/** Containers against the contract, on this machine's engine and on that of a host over SSH. */
import { afterAll, beforeAll } from 'vitest'
import { openContainerHost } from '../../scripts/lib/host/container/host.ts'
import { openLocalHost } from '../../scripts/lib/host/local.ts'
import { openSshHost } from '../../scripts/lib/host/ssh/host.ts'
import type { Host } from '../../scripts/lib/host/types.ts'
import { startDocker, type DockerEngine } from '../support/docker.ts'
import { startSshd, type Sshd } from '../support/sshd.ts'
import { describeHost } from './contract.ts'

let engine: DockerEngine
let sshd: Sshd
let count = 0

beforeAll(async () => {
  ;[engine, sshd] = await Promise.all([startDocker(), startSshd()])
})
afterAll(async () => {
  await sshd?.stop()
  await engine?.stop()
})

/** A container with a working directory in memory, a tiny one and a read-only one. */
async function startContainer(): Promise<string> {
  count += 1
  const name = `contract-${count}`
  const tmpfs = ['/work:size=100m', '/tiny:size=256k', '/locked:ro'].flatMap((mount) => ['--tmpfs', mount])
  await engine.run({ name, args: tmpfs })
  return name
}

async function openFixture(on: Host) {
  const container = await startContainer()
  const host = await openContainerHost({ name: 'app', container, on, socketPath: engine.socketPath })
  return {
    host,
    dir: '/work',
    tinyDir: '/tiny',
    lockedDir: '/locked',
    lockedCode: 'CANNOT_WRITE' as const,
    async close() {
      await host.close()
      await on.close()
      await engine.docker('rm', '-f', container)
    },
  }
}

describeHost('a container host', () => openFixture(openLocalHost()))
describeHost('a container host over SSH', async () =>
  openFixture(await openSshHost({ ...sshd.settings, name: 'web-1' })),
)
