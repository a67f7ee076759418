/** SSH against the contract: as root, and as a user through sudo. */
import { chmod, rm, writeFile } from 'node:fs/promises'
import { openSshHost } from '../../scripts/lib/host/ssh/host.ts'
import { mountMemory } from '../support/mounts.ts'
import { startSshd } from '../support/sshd.ts'
import { makeTempDir } from '../support/temp.ts'
import { makeUser } from '../support/users.ts'
import { describeHost, type HostFixture } from './contract.ts'

interface Variant {
  readonly user: string
  readonly isRoot?: boolean
  readonly sudo?: boolean
  readonly release?: () => Promise<void>
}

async function openFixture({ user, isRoot = false, sudo = false, release }: Variant): Promise<HostFixture> {
  const sshd = await startSshd()
  const temp = await makeTempDir('ssh')
  await chmod(temp.path, 0o755)
  const work = await mountMemory(`${temp.path}/work`, { size: '100m' })
  const tiny = await mountMemory(`${temp.path}/tiny`)
  const readOnly = await mountMemory(`${temp.path}/read-only`, { readOnly: true })
  const host = await openSshHost({ ...sshd.settings, name: 'web-1', user, sudo })
  return {
    host,
    dir: work.path,
    tinyDir: tiny.path,
    // The temporary directory itself belongs to root.
    lockedDir: isRoot || sudo ? readOnly.path : temp.path,
    lockedCode: isRoot || sudo ? 'CANNOT_WRITE' : 'NOT_PERMITTED',
    async close() {
      await host.close()
      await sshd.stop()
      await work.unmount()
      await tiny.unmount()
      await readOnly.unmount()
      await temp.remove()
      await release?.()
    },
  }
}

describeHost('an SSH host, as root', async () => {
  const user = await makeUser({ isRoot: true })
  return openFixture({ user: user.name, isRoot: true, release: user.remove })
})

describeHost('an SSH host, as a user', async () => {
  const user = await makeUser()
  return openFixture({ user: user.name, release: user.remove })
})

describeHost('an SSH host, through sudo', async () => {
  const user = await makeUser()
  const rule = `/etc/sudoers.d/${user.name}`
  await writeFile(rule, `${user.name} ALL=(root) NOPASSWD: ALL\n`, { mode: 0o440 })
  const release = async () => {
    await rm(rule)
    await user.remove()
  }
  return openFixture({ user: user.name, sudo: true, release })
})
