/** Small real file systems on loop devices and in memory, unmounted and removed when the current test ends. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { makeTempDir } from './temp.ts'
import { waitFor } from './wait.ts'

export interface MountedFileSystem {
  readonly path: string
  /** The block device under it, e.g. `/dev/loop3`; empty for one in memory. */
  readonly device: string
}

/** @param options mkfs and mount options, e.g. `{ mkfs: ['-N', '16'], mount: 'errors=remount-ro' }` */
export async function mountExt4(
  sizeMiB: number,
  { mkfs = [], mount = 'rw' }: { mkfs?: readonly string[]; mount?: string } = {},
): Promise<MountedFileSystem> {
  const dir = await makeTempDir('disk')
  const image = join(dir.path, 'image')
  const path = makeMountPoint(dir.path)
  run('truncate', '-s', `${sizeMiB}M`, image)
  run('mkfs.ext4', '-q', '-F', ...mkfs, image)
  const device = run('losetup', '--find', '--show', image).trim()
  onTestFinished(async () => {
    await unmount(path)
    run('losetup', '-d', device)
    rmSync(dir.path, { recursive: true, force: true })
  })
  run('mount', '-o', mount, device, path)
  chmodSync(path, 0o777)
  return { path, device }
}

export async function mountMemory(sizeMiB: number): Promise<MountedFileSystem> {
  const dir = await makeTempDir('memory')
  const path = makeMountPoint(dir.path)
  run('mount', '-t', 'tmpfs', '-o', `size=${sizeMiB}m,mode=777`, 'tmpfs', path)
  onTestFinished(async () => {
    await unmount(path)
    await dir.remove()
  })
  return { path, device: '' }
}

/** A server that was killed with its disk full may take a moment to be gone with all its children. */
function unmount(path: string): Promise<true> {
  return waitFor(`${path} to be left by everybody`, () => {
    run('umount', path)
    return true as const
  })
}

/** A directory in `parent` that every user can reach. */
function makeMountPoint(parent: string): string {
  const path = join(parent, 'mnt')
  chmodSync(parent, 0o755)
  mkdirSync(path)
  return path
}

function run(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', timeout: 20_000 })
}
