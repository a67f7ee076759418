/** What opskit.yaml says, and where its secrets are. The schema is not part of it: making it costs 130 ms. */
export { loadConfig, type LoadedConfig, type LoadOptions } from './load.ts'
export { formatSecretRef, resolveSecret } from './secrets.ts'
