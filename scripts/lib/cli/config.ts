/** The command `config`: is the file right, what does it mean, and its JSON Schema. */
import type { Config } from '../config/types.ts'
import { isOpsError, messageOf } from '../core/errors.ts'
import { EXIT_CODE_OF } from '../core/exit.ts'
import { createLog } from '../core/log.ts'
import type { CommonFlags } from './context.ts'
import { print } from './output.ts'

/**
 * Reads the file and every secret it refers to.
 * @returns the exit code; a file that is wrong is thrown as CONFIG_INVALID, but with `--json` it is the answer
 */
export async function checkConfig(file: string | undefined, flags: CommonFlags): Promise<number> {
  try {
    const { source, warnings } = await load(file, flags)
    if (flags.json)
      await print(JSON.stringify({ source: source ?? null, valid: true, warnings, problems: [] }, null, 2))
    else await print(source === undefined ? 'no opskit.yaml found: the defaults hold' : `${source}: no mistakes found`)
    return 0
  } catch (error) {
    if (!flags.json || !isOpsError(error, 'CONFIG_INVALID')) throw error
    const { place, problems = [{ place, message: error.message }] } = error.details
    await print(JSON.stringify({ source: file ?? flags.config ?? null, valid: false, warnings: [], problems }, null, 2))
    return EXIT_CODE_OF.CONFIG_INVALID
  }
}

/** Prints the config with every default, secrets as references. */
export async function showConfig(flags: CommonFlags): Promise<void> {
  const { renderConfig, writtenForm } = await import('../config/render.ts')
  const { redactValue } = await import('../core/redact.ts')
  const { config, source } = await load(undefined, flags)
  if (flags.json) return print(JSON.stringify(redactValue(writtenForm(config)), null, 2))
  return print(
    `# ${source === undefined ? 'no opskit.yaml found: the defaults' : `from ${source}, with every default`}\n${renderConfig(config)}`,
  )
}

export async function printSchema(): Promise<void> {
  const { configJsonSchema } = await import('../config/json-schema.ts')
  await print(JSON.stringify(configJsonSchema(), null, 2))
}

async function load(file: string | undefined, flags: CommonFlags) {
  const { loadConfig } = await import('../config/load.ts')
  const path = file ?? flags.config
  const { config, source, warnings } = await loadConfig(path === undefined ? {} : { path })
  const all = [...warnings, ...(source === undefined ? [] : await missingSecrets(config))]
  const log = createLog()
  for (const warning of all) log.warn(warning)
  return { config, source, warnings: all }
}

/** A secret may well be there only for the service that needs it, so this is a warning and no mistake. */
async function missingSecrets(config: Config): Promise<string[]> {
  const [{ secretRefsOf }, { resolveSecret }] = await Promise.all([
    import('../config/validate.ts'),
    import('../config/secrets.ts'),
  ])
  const found = secretRefsOf(config).map((ref) =>
    resolveSecret(ref).then(
      () => undefined,
      (error: unknown) => messageOf(error),
    ),
  )
  return [...new Set((await Promise.all(found)).filter((message) => message !== undefined))]
}
