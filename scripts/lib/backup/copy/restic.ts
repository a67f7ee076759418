/**
 * A backup into a restic repository: the engine for off-site copies that share what they have in common. restic does the
 * storing; here it is called, and its exit codes are given their meaning (restic.readthedocs.io, "Exit codes").
 */
import type { ResticTarget, SecretRef } from '../../config/types.ts'
import { OpsError } from '../../core/errors.ts'
import type { Progress } from '../../core/progress.ts'
import type { Secret } from '../../core/secret.ts'
import { openLocalHost } from '../../host/local.ts'
import { said, stageError } from '../pipeline/failure.ts'
import { CREDENTIAL_PATH, openPlace, runTool, type Place, type ToolEnd } from '../pipeline/place.ts'
import type { BackupEntry } from '../types.ts'

export interface ResticCopy {
  readonly entry: BackupEntry
  readonly target: ResticTarget
  readonly resolveSecret: (ref: SecretRef) => Promise<Secret>
  readonly redact: (text: string) => string
  readonly signal: AbortSignal
  readonly timeoutMs: number
  readonly progress: Progress
}

/** @returns what restic says of it: `snapshot 1a2b3c4d, 1.2 MiB added` */
export async function copyByRestic(copy: ResticCopy): Promise<string> {
  const { entry, progress } = copy
  const restic = await openRestic(copy)
  await restic.ensureRepository()
  progress.update(0, entry.sizeBytes, `copying ${entry.id} to ${copy.target.name}`)
  const { manifest } = entry
  const tags = ['opskit', `kind=${entry.kind}`, `name=${entry.name}`, `id=${entry.id}`].flatMap((tag) => ['--tag', tag])
  const time = manifest.startedAt.replace('T', ' ').replace(/\..*/, '')
  const output = await restic.run([
    'backup',
    '--json',
    '--quiet',
    '--host',
    manifest.host,
    '--time',
    time,
    ...tags,
    '--',
    entry.path,
  ])
  const summary = parseSummary(output)
  progress.update(entry.sizeBytes, entry.sizeBytes, `copying ${entry.id} to ${copy.target.name}`)
  await assertArrived(await restic.run(['ls', '--json', summary.snapshot]), entry)
  return `snapshot ${summary.snapshot.slice(0, 8)}, every file there with its size`
}

async function openRestic({ target, resolveSecret, redact, signal, timeoutMs }: ResticCopy) {
  const place = openPlace({ host: openLocalHost(), redact, signal, timeoutMs })
  const password = await resolveSecret(target.password)
  const env = await resolveEnv(target.env, resolveSecret)
  const call = (args: readonly string[]) =>
    runTool(place, {
      argv: ['restic', '--repo', target.repository, '--password-file', CREDENTIAL_PATH, ...args],
      credentials: password.reveal(),
      env,
    })
  const run = async (args: readonly string[]) => {
    const end = await call(args)
    if (end.code !== 0) throw resticError(end, target, place)
    return end.stdout
  }
  return {
    run,
    /** restic tells a missing repository from a wrong password only since 0.17; `init` never touches one that is there. */
    async ensureRepository() {
      const probe = await call(['cat', 'config', '--no-lock'])
      if (probe.code === 0) return
      const mayBeMissing = probe.code === 10 || probe.code === 1
      if (!mayBeMissing || !target.init) throw resticError(probe, target, place)
      const made = await call(['init'])
      if (made.code !== 0) throw resticError(probe, target, place)
    },
  }
}

async function resolveEnv(
  env: ResticTarget['env'],
  resolveSecret: ResticCopy['resolveSecret'],
): Promise<Record<string, string>> {
  const pairs = Object.entries(env).map(async ([key, value]) => {
    return [key, typeof value === 'string' ? value : (await resolveSecret(value)).reveal()] as const
  })
  return Object.fromEntries(await Promise.all(pairs))
}

function resticError(end: ToolEnd, { name, init }: ResticTarget, place: Place): OpsError {
  const words = said(end.stderr, place.redact)
  switch (end.code) {
    case 3:
      return new OpsError('FAILED', `restic could not read all of the backup${words}`, {
        hint: 'Verify it, then copy it again.',
      })
    case 10:
      return new OpsError('FAILED', `the restic repository ${name} does not exist${words}`, {
        hint: `Create it with "restic init", or set init: true for ${name}.`,
      })
    case 11:
      return new OpsError('LOCKED', `the restic repository ${name} is locked${words}`, {
        transient: true,
        hint: 'Try again later; "restic list locks" shows who holds it.',
      })
    case 12:
      return new OpsError('NOT_PERMITTED', `the password does not open the restic repository ${name}${words}`, {
        hint: `Check backup.restic ${name}.password.`,
      })
    case 130:
      return new OpsError('INTERRUPTED', 'restic was interrupted')
    default:
      return unknownFailure(end, { name, init }, place)
  }
}

/** Before 0.17 restic ends with 1 for everything. */
function unknownFailure(end: ToolEnd, { name, init }: Pick<ResticTarget, 'name' | 'init'>, place: Place): OpsError {
  const { code, message, details } = stageError(end, 'this machine', place.redact)
  const create = init ? '' : `that it exists (restic init, or init: true for ${name}), `
  return new OpsError(code, message, {
    ...details,
    hint: details.hint ?? `Check ${create}that it can be reached, and that backup.restic ${name}.password is right.`,
  })
}

function parseSummary(output: string): { readonly snapshot: string } {
  for (const line of output.trim().split('\n').reverse()) {
    const value = parseJson(line)
    if (value?.['message_type'] === 'summary' && typeof value['snapshot_id'] === 'string') {
      return { snapshot: value['snapshot_id'] }
    }
  }
  throw new OpsError('FAILED', 'restic did not say which snapshot it made')
}

/** @throws OpsError DATA_MISMATCH when a file of the backup is not in the snapshot with its size */
async function assertArrived(listing: string, entry: BackupEntry): Promise<void> {
  const sizes = new Map(
    listing.split('\n').flatMap((line) => {
      const value = parseJson(line)
      return typeof value?.['path'] === 'string' ? [[value['path'], value['size']] as const] : []
    }),
  )
  const missing = entry.manifest.files.filter(({ path, sizeBytes }) => sizes.get(`${entry.path}/${path}`) !== sizeBytes)
  if (missing.length === 0) return
  const list = missing.map(({ path }) => path).join(', ')
  throw new OpsError('DATA_MISMATCH', `${list} of ${entry.id} is not in the snapshot with its size`)
}

function parseJson(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
