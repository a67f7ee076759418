/**
 * Who an operator is: $OPSKIT_USER, else $SUDO_USER, else the account. On a shared account set OPSKIT_USER, or nobody can
 * tell two people apart: the two-person rule is as good as these names.
 */
import { userInfo } from 'node:os'
import { OpsError } from '../../core/errors.ts'

const NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._@+-]{0,63}$/u

/** @throws OpsError USAGE for a name that cannot be shown in a line */
export function readIdentity(env: NodeJS.ProcessEnv): string {
  const named = env['OPSKIT_USER']?.trim() || env['SUDO_USER'] || readAccount()
  if (NAME.test(named)) return named
  throw new OpsError('USAGE', `OPSKIT_USER is not a name: ${JSON.stringify(named.slice(0, 64))}`, {
    hint: 'Letters, digits, spaces and . _ @ + -, at most 64.',
  })
}

/** @throws OpsError USAGE */
export function parsePerson(text: string): string {
  const name = text.trim()
  if (NAME.test(name)) return name
  throw new OpsError('USAGE', `${JSON.stringify(text.slice(0, 64))} is not the name of a person`, {
    hint: 'Letters, digits, spaces and . _ @ + -, at most 64.',
  })
}

function readAccount(): string {
  try {
    return userInfo().username
  } catch {
    // A uid without an entry in the user database, as in many containers.
    return `uid-${process.getuid?.() ?? 'unknown'}`
  }
}
