/** The vocabulary of opskit.yaml as the program sees it: defaults filled in, durations in ms, sizes in bytes. Types only. */
export type { Config } from './schema/index.ts'
export type * from './schema/backup.ts'
export type * from './schema/diagnose.ts'
export type * from './schema/hosts.ts'
export type { SecretRef } from './schema/values.ts'
