/** A user account of this machine for one test file. Needs root. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export interface TestUser {
  readonly name: string
  readonly remove: () => Promise<void>
}

export interface UserOptions {
  /** A plain one, for log-ins by password; without it only keys work. */
  readonly password?: string
  /** Another name for root, with a shell whose start-up files are nobody's. */
  readonly isRoot?: boolean
}

export async function makeUser({ password, isRoot = false }: UserOptions = {}): Promise<TestUser> {
  const name = `opskit-${randomBytes(4).toString('hex')}`
  const root = isRoot ? ['--non-unique', '--uid', '0', '--gid', '0'] : []
  await execute('useradd', ['--create-home', '--shell', '/bin/sh', ...root, name])
  // Not locked (a locked account may not even use a key), but with no password that fits.
  const setting = execute('chpasswd', password === undefined ? ['-e'] : [])
  setting.child.stdin?.end(`${name}:${password ?? '*'}\n`)
  await setting
  // userdel refuses an account with running processes, which those of root always are.
  const remove = () => execute('userdel', ['--force', '--remove', name]).catch(() => undefined)
  return { name, remove: async () => void (await remove()) }
}
