/**
 * manifest.json as text and as value. What it holds is written in types.ts; here it is checked, because a repository is
 * read again years later, by a newer opskit, from a disk that may have lost something.
 */
import { z } from 'zod'
import { messageOf } from '../../core/errors.ts'
import { MANIFEST_SCHEMA, type Manifest } from '../types.ts'

/** Larger ones are no manifests: a hundred thousand tables take about 20 MB. */
export const MAX_MANIFEST_BYTES = 128 * 1024 * 1024

const count = z.int().min(0)
const names = z.array(z.string())
const moment = z.string().refine((text) => !Number.isNaN(Date.parse(text)), 'is not a time')
/** Relative, below the backup's own directory: a manifest is not trusted with other places. */
const dataPath = z
  .string()
  .min(1)
  .refine((path) => !path.startsWith('/') && !path.split('/').some((part) => ['', '.', '..'].includes(part)), {
    error: 'is not a path below the backup',
  })

const dataFile = z.object({
  path: dataPath,
  sizeBytes: count,
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  plainBytes: count.optional(),
  role: z.string(),
  database: z.string().optional(),
})

const databaseFacts = z.object({
  name: z.string(),
  tables: z.array(
    z.object({
      name: z.string(),
      schema: z.string().optional(),
      rows: count.optional(),
      fingerprint: z.string().optional(),
    }),
  ),
  views: names,
  triggers: names,
  routines: names,
  events: names,
  sequences: names,
  indexes: names,
  foreignKeys: names,
  extensions: names,
})

const server = z.object({
  family: z.enum(['mariadb', 'mysql', 'postgresql', 'sqlite']),
  version: z.string(),
  id: z.string().optional(),
})

/** Keys that a newer opskit of the same schema adds are kept as they are. */
const manifest = z.looseObject({
  schema: z.literal(MANIFEST_SCHEMA),
  id: z.string(),
  kind: z.enum(['database', 'config', 'static']),
  name: z.string(),
  startedAt: moment,
  finishedAt: moment,
  durationMs: z.number().min(0),
  host: z.string(),
  server: server.optional(),
  tools: z.record(z.string(), z.string()),
  opskit: z.string(),
  position: z.record(z.string(), z.string()).optional(),
  compression: z.enum(['zstd', 'gzip', 'none']),
  encryption: z.object({ method: z.literal('age'), recipients: names }).optional(),
  files: z.array(dataFile).min(1),
  databases: z.array(databaseFacts).optional(),
  content: z.object({ paths: names, files: count, bytes: count }).optional(),
  changedDuringRead: names.optional(),
  parent: z.string().optional(),
  group: z.string().optional(),
  status: z.enum(['ok', 'warning']),
  warnings: names,
  notes: names.optional(),
})

export type ParsedManifest =
  { readonly ok: true; readonly manifest: Manifest } | { readonly ok: false; readonly because: string }

/** Never throws: what cannot be read is a reason. @param id the directory it was found in */
export function parseManifest(text: string, id: string): ParsedManifest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return refuse(text.trim() === '' ? 'the manifest is empty' : `the manifest is damaged: ${messageOf(error)}`)
  }
  const schema = schemaOf(value)
  if (schema !== undefined && schema > MANIFEST_SCHEMA) {
    return refuse(
      `the manifest has schema ${schema}, and this opskit reads up to ${MANIFEST_SCHEMA}: it was written by a newer opskit`,
    )
  }
  const parsed = manifest.safeParse(value)
  if (!parsed.success) return refuse(`the manifest is damaged: ${firstIssue(parsed.error)}`)
  if (parsed.data.id !== id) return refuse(`the manifest is that of ${parsed.data.id}, which was moved or copied here`)
  // Optional keys that are absent are absent, not undefined: exactly as they were in the text.
  return { ok: true, manifest: parsed.data }
}

/** Line by line, each file's path before its checksum: what the README's `sed` reads. */
export function formatManifest(value: Manifest): string {
  const files = value.files.map(({ path, sizeBytes, sha256, ...rest }) => ({ path, sizeBytes, sha256, ...rest }))
  return `${JSON.stringify({ ...value, files }, null, 2)}\n`
}

function schemaOf(value: unknown): number | undefined {
  if (typeof value !== 'object' || value === null || !('schema' in value)) return undefined
  return typeof value.schema === 'number' ? value.schema : undefined
}

function firstIssue(error: z.ZodError): string {
  const [issue] = error.issues
  if (!issue) return 'it is not as expected'
  const path = issue.path.map(String).join('.')
  return path === '' ? issue.message : `${path}: ${issue.message}`
}

function refuse(because: string): ParsedManifest {
  return { ok: false, because }
}
