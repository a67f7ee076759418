/** Where a command's answer goes: stdout, or a file that is replaced whole. */
import { rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { OpsError, systemCode } from '../core/errors.ts'

/** True when people read stdout and have not turned colour off (no-color.org). */
export function wantsColor(stream: { isTTY?: boolean } = process.stdout, env = process.env): boolean {
  if (env['NO_COLOR']) return false
  return stream.isTTY === true || Boolean(env['FORCE_COLOR'])
}

/** Columns to wrap at; undefined where nobody looks (a pipe, a file). */
export function terminalWidth(): number | undefined {
  return process.stdout.isTTY ? process.stdout.columns : undefined
}

/** Writes text to stdout and waits until it is taken. */
export function print(text: string): Promise<void> {
  const line = text.endsWith('\n') ? text : `${text}\n`
  return new Promise((resolve, reject) => process.stdout.write(line, (error) => (error ? reject(error) : resolve())))
}

/**
 * Replaces `path` whole: a reader sees the old text or the new one, never half.
 * @throws OpsError CANNOT_WRITE or NOT_PERMITTED, with the place
 */
export async function writeOutput(path: string, text: string): Promise<void> {
  const beside = join(dirname(path), `.opskit-${process.pid}.tmp`)
  try {
    await writeFile(beside, text.endsWith('\n') ? text : `${text}\n`, { mode: 0o640 })
    await rename(beside, path)
  } catch (error) {
    await rm(beside, { force: true })
    const refused = ['EACCES', 'EPERM'].includes(systemCode(error) ?? '')
    throw new OpsError(
      refused ? 'NOT_PERMITTED' : 'CANNOT_WRITE',
      `cannot write ${path}: ${systemCode(error) ?? 'failed'}`,
      {
        hint: `Name another place with --output, or make ${dirname(path)} writable.`,
        cause: error,
      },
    )
  }
}
