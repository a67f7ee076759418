/** The small values that every section of opskit.yaml is made of. Keys are snake_case, as in compose files and Prometheus. */
import { z } from 'zod'
import { parseDuration, parseSize } from '../../core/duration.ts'
import { messageOf } from '../../core/errors.ts'

/** `30s`, `5m`, `1h30m` in the file; milliseconds in the program. */
export const duration = z
  .string()
  .meta({ description: 'A duration: 500ms, 30s, 5m, 2h, 1d', examples: ['30s'] })
  .transform((text, ctx) => parsed(() => parseDuration(text), ctx))

/** `512MiB`, `10GB` in the file; bytes in the program. */
export const size = z
  .string()
  .meta({ description: 'A size: 512MiB, 2GiB, 10GB', examples: ['2GiB'] })
  .transform((text, ctx) => parsed(() => parseSize(text), ctx))

/** Where a secret is kept; never the secret itself. */
export const secretRef = z
  .union([z.strictObject({ env: z.string().min(1) }), z.strictObject({ file: z.string().min(1) })])
  .meta({ description: 'A reference to a secret: { env: NAME } or { file: /path }' })

export type SecretRef = z.output<typeof secretRef>

export const port = z.int().min(1).max(65535)

/** A name that operators type on the command line: no spaces, no shell surprises. */
export const name = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]*$/,
    'a name starts with a letter or digit and holds letters, digits, ".", "_" and "-"',
  )

/** Where a value starts to be a warning and where a critical. */
export function threshold(warning: number, critical: number) {
  return z.strictObject({ warning: z.number().default(warning), critical: z.number().default(critical) }).prefault({})
}

function parsed(parse: () => number, ctx: z.RefinementCtx<string>): number {
  try {
    return parse()
  } catch (error) {
    ctx.addIssue({ code: 'custom', message: messageOf(error) })
    return z.NEVER
  }
}
