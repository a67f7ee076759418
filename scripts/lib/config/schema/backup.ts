/** `backup:` — what is saved, where to, how long it is kept, and how it is proved. */
import { z } from 'zod'
import { databaseTls, duration, imageName, name, path, port, secretRef } from './values.ts'

/** How many backups of each calendar period stay. */
const retention = z
  .strictObject({
    last: count('The newest ones'),
    hourly: count('The last of each hour'),
    daily: count('The last of each day'),
    weekly: count('The last of each week'),
    monthly: count('The last of each month'),
    yearly: count('The last of each year'),
    days: count('Everything younger than this many days'),
    timezone: z.string().default('UTC').meta({ description: 'In which days and weeks begin (default UTC)' }),
  })
  .meta({ description: 'What prune keeps; never the newest good one, never the newest verified one' })

const hook = z.strictObject({
  run: z
    .array(z.string())
    .min(1)
    .meta({ description: 'A program and its arguments, run on the host of the source; no shell' }),
  timeout: duration.prefault('60s').meta({ description: 'Until it is ended (default 60s)' }),
})

const hooks = z
  .strictObject({
    before: z.array(hook).default([]).meta({ description: 'Before it, one after the other' }),
    after: z.array(hook).default([]).meta({ description: 'After it, one after the other' }),
  })
  .prefault({})
  .meta({ description: 'Commands around a backup' })

const common = {
  on: name.optional().meta({ description: 'The host it is on, also a container (default: this machine)' }),
  retention: retention.optional(),
  rpo: duration.optional().meta({ description: 'How old the newest good backup may be (default: backup.rpo)' }),
  hooks,
  timeout: duration.prefault('6h').meta({ description: 'For one run (default 6h)' }),
}

const check = z.strictObject({
  name: z.string().meta({ description: 'Shown in reports' }),
  sql: z.string().meta({ description: 'A question to the restored copy' }),
  database: z.string().optional().meta({ description: 'Where it is asked' }),
  expect: z
    .union([z.string(), z.number()])
    .meta({ description: 'The first column of the first row as text, or >0, >=N, <N' }),
})

const databaseSource = z
  .strictObject({
    type: z.enum(['mariadb', 'mysql', 'postgresql', 'sqlite']),
    host: z.string().optional().meta({ description: 'Address as seen from the host named by on' }),
    port: port.optional(),
    socket: path.optional().meta({ description: 'A socket; for PostgreSQL its directory' }),
    user: z.string().optional().meta({ description: 'Must be allowed to read everything that is saved' }),
    password: secretRef.optional(),
    tls: databaseTls.tls.meta({
      description:
        'require: encrypted; verify: the certificate too, and its name where host is a name; off: as the client tools do by themselves',
    }),
    ca: path.optional().meta({
      description: 'Authorities to trust in place of the public ones (PEM), for verify: a file on the host named by on',
    }),
    file: path.optional().meta({ description: 'SQLite: the file' }),
    databases: z
      .union([z.literal('all'), z.array(z.string()).min(1)])
      .default('all')
      .meta({ description: 'all, or a list of names (default all)' }),
    users: z
      .boolean()
      .default(true)
      .meta({ description: 'Accounts and grants (MariaDB, MySQL) or globals (PostgreSQL) too' }),
    row_counts: z.boolean().default(true).meta({ description: 'Exact row counts, to compare a restored copy with' }),
    fingerprints: z.boolean().default(false).meta({ description: 'Fingerprints of the contents, to compare likewise' }),
    checks: z.array(check).default([]).meta({ description: 'Questions a restored copy must answer as expected' }),
    drill_into: name.optional().meta({
      description:
        'Drill on this server in place of a private one: another database source, or a host (also a container) where the same address and account work',
    }),
    drill_image: imageName
      .optional()
      .meta({ description: 'Drill in a container of this image in place of a private server: mariadb:10.11' }),
    ...common,
  })
  .superRefine(({ type, drill_into, drill_image }, ctx) => {
    const refuse = (message: string) => ctx.addIssue({ code: 'custom', path: ['drill_image'], message })
    if (drill_image === undefined) return
    if (drill_into !== undefined) refuse('one drill has one server: leave out drill_into or drill_image')
    if (type === 'sqlite') refuse('SQLite has no server, and so needs no image')
  })
  .meta({ description: 'One database server, or one SQLite file' })

const files = {
  paths: z.array(z.string()).min(1).meta({ description: 'Files and directories' }),
  exclude: z.array(z.string()).default([]).meta({ description: 'Patterns that are left out' }),
}

const configSource = z
  .strictObject({
    ...files,
    nginx: z
      .strictObject({
        binary: z.string().default('nginx').meta({ description: 'Program name or path' }),
        config: path.optional().meta({ description: 'The main configuration file' }),
        url: z.string().optional().meta({ description: 'Must answer after the reload' }),
      })
      .optional()
      .meta({ description: 'After a restore: test, reload and prove nginx' }),
    compose_file: path.optional().meta({ description: 'After a restore: start this compose project' }),
    ...common,
  })
  .meta({ description: 'Configuration files' })

const staticSource = z
  .strictObject({
    ...files,
    full_every: duration.optional().meta({
      description: 'A full backup at least this often, between them only what changed (default: always full)',
    }),
    ...common,
  })
  .meta({ description: 'Files of a website and the like' })

const automatic = z.boolean().default(true).meta({ description: 'By itself after each good backup (default true)' })

const copy = z.strictObject({
  name: name.meta({ description: 'For backup.ts copy' }),
  host: name.meta({ description: 'A configured SSH host' }),
  path: z.string().min(1).meta({ description: 'A directory there' }),
  automatic,
})

const restic = z.strictObject({
  name: name.meta({ description: 'For backup.ts copy' }),
  repository: z.string().min(1).meta({ description: 'What restic takes as -r: sftp:…, s3:…, rest:…, or a path' }),
  password: secretRef,
  env: z
    .record(z.string(), z.union([z.string(), secretRef]))
    .default({})
    .meta({ description: 'Environment of restic; a value may be a reference to a secret' }),
  init: z.boolean().default(false).meta({ description: 'Create the repository when there is none' }),
  automatic,
})

export const backupSection = z
  .strictObject({
    repository: path.default('backups').meta({ description: 'A directory (default: backups beside this file)' }),
    compression: z
      .strictObject({
        level: z.int().min(1).max(19).default(3).meta({ description: 'zstd, 1 to 19 (default 3)' }),
        threads: z.int().min(0).default(0).meta({ description: '0: one for each core' }),
      })
      .prefault({})
      .meta({ description: 'By zstd' }),
    encryption: z
      .strictObject({
        recipients: z.array(z.string()).min(1).meta({ description: 'age1… or ssh-ed25519 …; public, no secrets' }),
        identity: secretRef.optional().meta({
          description: 'The age identity with which restore, verify and drill decrypt: { file: path } or { env: NAME }',
        }),
      })
      .optional()
      .meta({ description: 'By age (default: none)' }),
    retention: retention.prefault({ last: 3, days: 30 }),
    rpo: duration.prefault('26h').meta({ description: 'How old the newest good backup may be (default 26h)' }),
    drill_every: duration
      .prefault('7d')
      .meta({ description: 'Restores are tested at least this often; diagnose warns beyond it (default 7d)' }),
    databases: z.record(name, databaseSource).default({}).meta({ description: 'By a name of your choice' }),
    config: z.record(name, configSource).default({}).meta({ description: 'By a name of your choice' }),
    static: z.record(name, staticSource).default({}).meta({ description: 'By a name of your choice' }),
    groups: z
      .record(name, z.array(z.string()).min(2))
      .default({})
      .meta({ description: 'Sources saved at one moment: [database/app, static/web]' }),
    copies: z.array(copy).default([]).meta({ description: 'Hosts that get a copy of the repository' }),
    restic: z.array(restic).default([]).meta({ description: 'restic repositories that get a copy' }),
  })
  .prefault({})
  .meta({ description: 'What is saved, where to, how long it is kept, and how it is proved' })

function count(description: string) {
  return z.int().min(1).optional().meta({ description })
}

export type BackupConfig = z.output<typeof backupSection>
export type RetentionPolicy = z.output<typeof retention>
export type DatabaseSource = z.output<typeof databaseSource>
export type ConfigSource = z.output<typeof configSource>
export type StaticSource = z.output<typeof staticSource>
export type BackupHook = z.output<typeof hook>
export type SqlCheck = z.output<typeof check>
export type CopyTarget = z.output<typeof copy>
export type ResticTarget = z.output<typeof restic>
