/** The small values that every section of opskit.yaml is made of. Keys are snake_case, as in compose files and Prometheus. */
import { z } from 'zod'
import { parseDuration, parseSize } from '../../core/duration.ts'
import { messageOf } from '../../core/errors.ts'

/**
 * What a value is beyond its type: a `path` is made absolute, a `secret` is never printed, a `duration` (ms) and a
 * `size` (bytes) are shown as they are written. A schema is marked once, here; what is put around it keeps the mark.
 */
export const kinds = z.registry<{ kind: 'path' | 'secret' | 'duration' | 'size' }>()

/** `30s`, `5m`, `1h30m` in the file; milliseconds in the program. */
export const duration = z
  .string()
  .meta({ description: 'A duration: 500ms, 30s, 5m, 2h, 1d', examples: ['30s'] })
  .register(kinds, { kind: 'duration' })
  .transform((text, ctx) => parsed(() => parseDuration(text), ctx))

/** `512MiB`, `10GB` in the file; bytes in the program. */
export const size = z
  .string()
  .meta({ description: 'A size: 512MiB, 2GiB, 10GB', examples: ['2GiB'] })
  .register(kinds, { kind: 'size' })
  .transform((text, ctx) => parsed(() => parseSize(text), ctx))

/** A file or directory: relative to the directory of opskit.yaml, `~/` is the home directory; absolute in the program. */
export const path = z.string().min(1).register(kinds, { kind: 'path' })

/** Where a secret is kept; never the secret itself. */
export const secretRef = z
  .union([
    z.strictObject({ env: z.string().min(1).meta({ description: 'The name of an environment variable' }) }),
    z.strictObject({ file: path.meta({ description: 'A file that holds nothing but the secret' }) }),
  ])
  .meta({ description: 'A reference to a secret: { env: NAME } or { file: path }; never the secret itself' })
  .register(kinds, { kind: 'secret' })

export type SecretRef = z.output<typeof secretRef>

export const port = z.int().min(1).max(65535).meta({ description: 'A TCP or UDP port' })

/** How the connection to a database is encrypted. */
export const databaseTls = {
  tls: z.enum(['off', 'require', 'verify']).default('off').meta({
    description: 'require: encrypted; verify: the certificate too, and its name where host is a name',
  }),
  ca: path.optional().meta({ description: 'Authorities to trust in place of the public ones (PEM), for verify' }),
}

/** A name that operators type on the command line: no spaces, no shell surprises. */
export const name = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]*$/,
    'a name starts with a letter or digit and holds letters, digits, ".", "_" and "-"',
  )

/**
 * What Docker takes for the name of an image: `mariadb:10.11`, `registry.example.com:5000/team/app@sha256:…`, or an ID.
 * Grammar: github.com/distribution/reference. It becomes a part of a URL and of the command a hint names, hence strict.
 */
export const imageName = z
  .string()
  .regex(
    /^[A-Za-z0-9][\w.-]*(?::\d+)?(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*(?::\w[\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$/,
    'must be the name of an image, as docker images shows it: mariadb:10.11',
  )

/** Where a value starts to be a warning and where a critical. */
export function threshold(warning: number, critical: number, description: string) {
  return z
    .strictObject({ warning: z.number().default(warning), critical: z.number().default(critical) })
    .prefault({})
    .meta({ description: `${description} (warning ${warning}, critical ${critical})` })
}

/** As `threshold`, for times. */
export function durations(warning: string, critical: string, description: string) {
  return z
    .strictObject({ warning: duration.prefault(warning), critical: duration.prefault(critical) })
    .prefault({})
    .meta({ description: `${description} (warning ${warning}, critical ${critical})` })
}

function parsed(parse: () => number, ctx: z.RefinementCtx<string>): number {
  try {
    return parse()
  } catch (error) {
    ctx.addIssue({ code: 'custom', message: messageOf(error) })
    return z.NEVER
  }
}
