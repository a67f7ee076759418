/** File systems in memory: full, read-only, or fast where a test writes much. Needs root. */
import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export interface Mount {
  readonly path: string
  unmount(): Promise<void>
}

/** A tmpfs at `path`, of 256 KiB unless told otherwise, writable for everyone unless it is read-only. */
export async function mountMemory(path: string, { readOnly = false, size = '256k' } = {}): Promise<Mount> {
  await mkdir(path, { recursive: true })
  const options = `size=${size},mode=1777${readOnly ? ',ro' : ''}`
  await execute('mount', ['-t', 'tmpfs', '-o', options, 'opskit-test', path])
  return { path, unmount: async () => void (await execute('umount', ['-l', path])) }
}
