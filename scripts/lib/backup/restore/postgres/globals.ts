/** Roles and their memberships into a private server, so that what they own can be restored. */
import type { DecodeOptions } from '../decode.ts'
import { runScriptFile, type LoadAccess } from './client.ts'

/**
 * Tablespaces name directories of another machine and cannot be made here; what else fails shows itself when a role is
 * needed. So errors do not end it.
 */
export function loadGlobals(access: LoadAccess, file: DecodeOptions & { readonly path: string }): Promise<void> {
  return runScriptFile(access, 'postgres', { ...file, stopAtErrors: false })
}
