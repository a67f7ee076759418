/** A reference to a secret to the secret itself, when it is needed and not before. Errors name the reference only. */
import { open } from 'node:fs/promises'
import { OpsError, systemCode } from '../core/errors.ts'
import { Secret } from '../core/secret.ts'
import type { SecretRef } from './types.ts'

/** A key or a password; a larger file is a mistake, or a device that never ends. */
const MAX_BYTES = 64 * 1024

/**
 * @param options.env where `{ env }` looks; default: the environment of this process
 * @returns the value; of a file, without the line break at its end
 * @throws OpsError CONFIG_INVALID when it is missing, empty or too large, NOT_PERMITTED when the file may not be read
 */
export async function resolveSecret(ref: SecretRef, options: { env?: NodeJS.ProcessEnv } = {}): Promise<Secret> {
  return 'env' in ref ? fromEnvironment(ref.env, options.env ?? process.env) : fromFile(ref.file)
}

/** A reference as people read it: `env:NAME`, `file:/path`. */
export function formatSecretRef(ref: SecretRef): string {
  return 'env' in ref ? `env:${ref.env}` : `file:${ref.file}`
}

function fromEnvironment(name: string, env: NodeJS.ProcessEnv): Secret {
  const value = env[name]
  if (value === undefined || value === '') {
    const what = value === undefined ? 'is not set' : 'is empty'
    throw new OpsError('CONFIG_INVALID', `the secret env:${name} ${what}`, {
      hint: `Set the environment variable ${name} for the process that runs opskit.`,
    })
  }
  return new Secret(value, `env:${name}`)
}

async function fromFile(path: string): Promise<Secret> {
  const source = `file:${path}`
  const text = (await readSmall(path, source)).replace(/\r?\n$/, '')
  if (text === '') {
    throw new OpsError('CONFIG_INVALID', `the secret ${source} is empty`, { hint: `Write the secret into ${path}.` })
  }
  return new Secret(text, source)
}

async function readSmall(path: string, source: string): Promise<string> {
  try {
    await using file = await open(path, 'r')
    const buffer = Buffer.alloc(MAX_BYTES + 1)
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0)
    if (bytesRead > MAX_BYTES) {
      throw new OpsError('CONFIG_INVALID', `the secret ${source} is larger than 64 KiB`, {
        hint: 'Name the right file.',
      })
    }
    return buffer.toString('utf8', 0, bytesRead)
  } catch (error) {
    throw unreadable(error, source)
  }
}

function unreadable(error: unknown, source: string): unknown {
  switch (systemCode(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new OpsError('CONFIG_INVALID', `the secret ${source} is missing: no such file`, {
        hint: 'Write the file, mode 600, or correct the reference.',
      })
    case 'EISDIR':
      return new OpsError('CONFIG_INVALID', `the secret ${source} is a directory`, { hint: 'Name the file in it.' })
    case 'EACCES':
    case 'EPERM':
      return new OpsError('NOT_PERMITTED', `the secret ${source} may not be read`, {
        hint: 'Run as a user who may read it, or change its owner.',
      })
    default:
      return error
  }
}
