/** The vocabulary of opskit.yaml as the program sees it: defaults filled in, durations in ms, sizes in bytes. Types only. */
export type { Config } from './schema/index.ts'
export type * from './schema/backup.ts'
export type * from './schema/diagnose.ts'
export type * from './schema/endpoint.ts'
export type * from './schema/hosts.ts'
export type * from './schema/notify.ts'
export type * from './schema/schedule.ts'
export type { SecretRef } from './schema/values.ts'
