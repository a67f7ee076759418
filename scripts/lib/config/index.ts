/** What opskit.yaml says, and where its secrets are. */
export { configJsonSchema } from './json-schema.ts'
export { loadConfig, type LoadedConfig, type LoadOptions } from './load.ts'
export { formatSecretRef, resolveSecret } from './secrets.ts'
