/**
 * Directories of our own for what passes through in a moment: credentials, sockets. In memory where the machine has that
 * (/dev/shm, glibc needs it too), so that a full disk, which is what somebody may be restoring for, is no hindrance.
 */
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asWriteError } from '../repository/durable.ts'

const IN_MEMORY = '/dev/shm'

/** @returns a new directory of mode 0700; whoever made it removes it. @throws OpsError CANNOT_WRITE */
export async function makePrivateDirectory(): Promise<string> {
  try {
    return await mkdtemp(join(IN_MEMORY, 'opskit-'))
  } catch {
    return makeTempDirectory('opskit-')
  }
}

/** For what may be large. @throws OpsError CANNOT_WRITE */
export async function makeTempDirectory(prefix: string): Promise<string> {
  try {
    return await mkdtemp(join(tmpdir(), prefix))
  } catch (error) {
    throw asWriteError(error, tmpdir())
  }
}
