/**
 * records.jsonl: what was learned about a backup after it was published, one JSON document a line, only ever appended.
 * A crash can leave the last line torn: it is then skipped by readers and closed by the next writer.
 */
import { constants } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { systemCode } from '../../core/errors.ts'
import type { BackupEntry, BackupRecord } from '../types.ts'
import { syncDirectory } from './durable.ts'
import { RECORDS_FILE } from './names.ts'

const moment = z.string().refine((text) => !Number.isNaN(Date.parse(text)))
const outcome = { at: moment, ok: z.boolean(), because: z.string() }

const record = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('verified'),
    ...outcome,
    level: z.enum(['checksums', 'content']),
    durationMs: z.number(),
  }),
  z.object({ type: z.literal('drilled'), ...outcome, rtoMs: z.number(), differences: z.array(z.string()) }),
  z.object({ type: z.literal('copied'), ...outcome, target: z.string() }),
  z.object({ type: z.literal('pinned'), at: moment, reason: z.string() }),
  z.object({ type: z.literal('unpinned'), at: moment }),
])

/** Lines that are torn, or of a kind that only a newer opskit knows, are left out. */
export function parseRecords(text: string): BackupRecord[] {
  return text.split('\n').flatMap((line) => {
    const parsed = record.safeParse(parseLine(line))
    return parsed.success ? [parsed.data] : []
  })
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

export async function readRecords(directory: string): Promise<BackupRecord[]> {
  try {
    return parseRecords(await readFile(join(directory, RECORDS_FILE), 'utf8'))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}

/** On disk when it returns. Two processes may append at once: each line is one write with O_APPEND. */
export async function appendRecord(directory: string, value: BackupRecord): Promise<void> {
  const path = join(directory, RECORDS_FILE)
  const file = await open(path, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT, 0o600)
  try {
    const { size } = await file.stat()
    const last = Buffer.alloc(1)
    if (size > 0) await file.read(last, 0, 1, size - 1)
    const closesTorn = size > 0 && last[0] !== 0x0a ? '\n' : ''
    await file.write(`${closesTorn}${JSON.stringify(value)}\n`)
    await file.sync()
    if (size === 0) await syncDirectory(directory)
  } finally {
    await file.close()
  }
}

type Learned = Pick<BackupEntry, 'pinned' | 'verifiedAt' | 'drilledAt' | 'rtoMs' | 'failedBecause'>

/** What the records say together. A failure counts until a later check of the same kind passes. */
export function summarizeRecords(records: readonly BackupRecord[]): Learned {
  const pin = records.findLast(({ type }) => type === 'pinned' || type === 'unpinned')
  const verified = records.findLast((one) => one.type === 'verified')
  const drilled = records.findLast((one) => one.type === 'drilled')
  const failed = [verified, drilled].filter((one) => one !== undefined && !one.ok).at(-1)
  return {
    pinned: pin?.type === 'pinned',
    ...(verified?.ok && !failed ? { verifiedAt: Date.parse(verified.at) } : {}),
    ...(drilled?.ok && !failed ? { drilledAt: Date.parse(drilled.at), rtoMs: drilled.rtoMs } : {}),
    ...(failed ? { failedBecause: failed.because } : {}),
  }
}
