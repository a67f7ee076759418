/** The JSON Schema of opskit.yaml, for completion and hovers in editors (yaml-language-server). */
import { z } from 'zod'
import { configSchema } from './schema/index.ts'

/** What may be written in the file: durations and sizes are texts, every key with a default may be left out. */
export function configJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(configSchema, { io: 'input' })
}
