/**
 * The age identity that opens encrypted backups: a file, or a secret that never becomes one. Whether it is the right one is
 * told before anything is read: age itself ends with 1 for a wrong key and for damaged data alike, and a backup that was
 * encrypted to somebody else is not a damaged one.
 */
import { execFile } from 'node:child_process'
import { access } from 'node:fs/promises'
import { once } from 'node:events'
import type { ActionContext } from '../../action/types.ts'
import { messageOf, OpsError } from '../../core/errors.ts'
import type { Secret } from '../../core/secret.ts'
import type { BackupEntry } from '../types.ts'

/** The path of a file, or the identity itself, which goes to age by its standard input. */
export type AgeIdentity = string | Secret

/** @throws OpsError CONFIG_INVALID for a file that is not there, a variable that is not set */
export async function readIdentity({
  config,
  resolveSecret,
}: Pick<ActionContext, 'config' | 'resolveSecret'>): Promise<AgeIdentity | undefined> {
  const ref = config.backup.encryption?.identity
  if (ref === undefined) return undefined
  if ('env' in ref) return resolveSecret(ref)
  await access(ref.file).catch((error: unknown) => {
    throw new OpsError('CONFIG_INVALID', `the age identity ${ref.file} cannot be read: ${messageOf(error)}`, {
      hint: 'Bring it to this machine, or set backup.encryption.identity in opskit.yaml to where it is.',
    })
  })
  return ref.file
}

/** @throws OpsError CONFIG_INVALID when a backup is encrypted, and not to this identity */
export async function refuseOtherIdentity(entry: BackupEntry, identity: AgeIdentity | undefined): Promise<void> {
  const because = await readOtherIdentity(entry, identity)
  if (because === undefined) return
  throw new OpsError('CONFIG_INVALID', `${entry.id} cannot be decrypted: ${because}`, {
    hint: `Set backup.encryption.identity to the identity of ${entry.manifest.encryption?.recipients.join(' or ')}.`,
  })
}

/** @returns why the identity cannot open the backup; undefined when it can, or when only trying will tell (an SSH key) */
export async function readOtherIdentity(
  { manifest }: Pick<BackupEntry, 'manifest'>,
  identity: AgeIdentity | undefined,
): Promise<string | undefined> {
  const { encryption } = manifest
  if (!encryption) return undefined
  if (identity === undefined) return 'no age identity is configured'
  const own = await readRecipients(identity)
  if (own === undefined || encryption.recipients.some((one) => !one.startsWith('age1') || own.includes(one))) {
    return undefined
  }
  const name = typeof identity === 'string' ? identity : identity.source
  return `${name} is the identity of ${own.join(', ')}, and it was encrypted to ${encryption.recipients.join(', ')}`
}

const KEYGEN_MS = 10_000

/** Public keys of an identity, by age's own tool; undefined for what is no identity of its making. */
async function readRecipients(identity: AgeIdentity): Promise<readonly string[] | undefined> {
  const args = typeof identity === 'string' ? ['-y', identity] : ['-y']
  const child = execFile('age-keygen', args, { timeout: KEYGEN_MS })
  let said = ''
  child.stdout?.on('data', (text: string) => {
    said += text
  })
  child.stdin?.on('error', () => undefined)
  child.stdin?.end(typeof identity === 'string' ? '' : `${identity.reveal()}\n`)
  const [code] = (await once(child, 'close').catch(() => [1])) as [number | null]
  const found = said.split('\n').filter((line) => line.startsWith('age1'))
  return code === 0 && found.length > 0 ? found : undefined
}
