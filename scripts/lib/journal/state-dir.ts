/** Where opskit keeps its state when the config does not say. Source: XDG Base Directory Specification 0.8. */
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

/**
 * @param uid of the process; 0 is root, undefined where the system has none
 * @returns an absolute path; it may not exist yet
 */
export function defaultStateDir(env: NodeJS.ProcessEnv, uid: number | undefined): string {
  if (uid === 0) return '/var/lib/opskit'
  const base = env['XDG_STATE_HOME']
  // The specification: a relative path is invalid and is ignored.
  if (base !== undefined && isAbsolute(base)) return join(base, 'opskit')
  return join(env['HOME'] || homedir(), '.local', 'state', 'opskit')
}
