/** A directory of its own for each test, removed afterwards. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A new empty directory; the caller removes it. For servers that live as long as a file's tests. */
export async function makeTempDir(label = 'test'): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), `opskit-${label}-`))
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 3 }) }
}

/** A new empty directory, removed when the current test ends. */
export async function tempDir(label?: string): Promise<string> {
  const dir = await makeTempDir(label)
  onTestFinished(() => dir.remove())
  return dir.path
}
