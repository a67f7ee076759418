/** What may be written in a runbook: its front matter, and the block of an item. The published JSON Schema is made of it. */
import { z } from 'zod'
import { duration } from '../../config/schema/values.ts'
import { MILESTONES, PARAM_TYPES, SEVERITIES } from '../types.ts'
import { PARAM_NAME, TEMPLATE_WORDS } from './words.ts'

/** `yes` is text in YAML 1.2, and what people write. */
const yes = z.literal([true, false, 'yes', 'no']).transform((word) => word === true || word === 'yes')

const dashed = (what: string) =>
  z.string().regex(/^[a-z][a-z0-9-]*$/, `${what} begins with a letter and holds small letters, digits and "-"`)

const scalar = z.union([z.string(), z.number(), z.boolean()])
const isDate = (text: string) =>
  /^\d{4}-\d{2}-\d{2}$/.test(text) && new Date(`${text}T00:00Z`).toJSON()?.startsWith(text)

const param = z
  .strictObject({
    type: z.enum(PARAM_TYPES).default('text').meta({ description: 'What it takes (default text)' }),
    default: scalar.optional().meta({ description: 'Without one it must be given' }),
    choices: z.array(scalar).min(1).optional().meta({ description: 'What a choice may be' }),
    description: z.string().default('').meta({ description: 'What it is, for whoever is asked for it' }),
  })
  .meta({ description: 'Something that differs from run to run; {{name}} puts it in' })

const timer = z
  .strictObject({
    name: dashed('the name of a timer'),
    title: z.string().min(1).meta({ description: 'What must have happened' }),
    after: duration.meta({ description: 'From the start of the incident' }),
    stopped_by: z.enum(['ack', ...MILESTONES]),
  })
  .meta({ description: 'What must have happened by when' })

export const frontSchema = z
  .strictObject({
    id: dashed('an id').meta({ description: "The file's name without .md; the same in a translation" }),
    title: z.string().min(1).meta({ description: 'As lists show it' }),
    severity: z.enum(SEVERITIES),
    owner: z.string().min(1).meta({ description: 'Who keeps it true' }),
    last_tested: z
      .string()
      .refine((text) => isDate(text), 'must be a day: 2026-11-21')
      .optional()
      .meta({ description: 'The day it was last run, as a drill or for real' }),
    mode: z
      .enum(['read-do', 'do-confirm'])
      .default('read-do')
      .meta({ description: 'Read each item, then do it; or done from memory, then confirmed (default read-do)' }),
    subject: z
      .array(z.string())
      .default([])
      .meta({ description: 'Params that name what it is about: two runs on the same are told of each other' }),
    params: z
      .record(
        z
          .string()
          .regex(PARAM_NAME, 'the name of a param begins with a letter and holds small letters, digits and "_"')
          .refine((name) => !TEMPLATE_WORDS.includes(name), 'this is a word of Go templates: choose another name'),
        param,
      )
      .default({}),
    roles: z.record(dashed('a role'), z.string()).default({}).meta({ description: 'Who takes part, and what for' }),
    timers: z.array(timer).optional().meta({ description: 'Default: those of opskit.yaml' }),
  })
  .meta({ title: 'The front matter of a runbook' })

const argv = z.array(scalar).min(1)
const host = z.string().min(1).meta({ description: 'A host of opskit.yaml, or local: this machine (the default)' })
const timeout = duration.meta({ description: 'A duration: default 60s' })

const work = {
  run: z
    .union([argv, z.string().min(1)])
    .optional()
    .meta({ description: 'A program and its arguments as a list; a text is a script for sh' }),
  action: z.string().min(1).optional().meta({ description: 'Any action: docs/reference/actions.md lists them' }),
  params: z.record(z.string(), z.unknown()).optional().meta({ description: 'What the action takes' }),
  on: host.optional(),
  timeout: timeout.optional(),
}

const verify = z
  .strictObject({
    ...work,
    expect: z.string().min(1).optional().meta({ description: 'Text that the output must hold' }),
    within: duration.optional().meta({ description: 'A duration: it is asked again until it holds (default: once)' }),
  })
  .meta({ description: 'Must hold before the item is done' })

export const blockSchema = z
  .strictObject({
    id: dashed('an id').optional().meta({ description: 'What it is called on the command line (default: its number)' }),
    ...work,
    verify: verify.optional(),
    rollback: z.strictObject(work).optional().meta({ description: 'Takes it back' }),
    when: z.string().optional().meta({ description: '"{{name}}", "{{name}} == value" or "{{name}} != value"' }),
    needs: z
      .array(z.string())
      .min(1)
      .optional()
      .meta({ description: 'Params that may be left out at the start, and are asked for when it comes to this item' }),
    confirm: z
      .union([z.literal([true, false, 'yes', 'no']), z.string().min(1)])
      .optional()
      .meta({ description: 'Asked before it runs: the question, or yes' }),
    retries: z.int().min(0).max(100).optional().meta({ description: 'How often it is tried again (default 0)' }),
    approve: z
      .string()
      .min(1)
      .optional()
      .meta({ description: 'The role that must agree; not whoever started the run' }),
    evidence: z.literal('required').optional().meta({ description: 'What was seen must be written or attached' }),
    irreversible: yes.optional().meta({ description: 'There is no way back' }),
    read_only: yes.optional().meta({ description: 'It changes nothing; run by --dry-run too' }),
    informs: yes
      .optional()
      .meta({ description: 'It tells and does not judge: an exit status or a critical finding does not fail it' }),
    marks: z.enum(MILESTONES).optional().meta({ description: 'What is reached when it is done' }),
  })
  .meta({ title: 'The block of an item' })

export type FrontData = z.output<typeof frontSchema>
export type BlockData = z.output<typeof blockSchema>
export type WorkData = Pick<BlockData, 'run' | 'action' | 'params' | 'on' | 'timeout'>

/** What may stand in each of the two, as one document with both under `$defs`. */
export function runbookJsonSchema() {
  const of = (schema: z.ZodType) => {
    const { $schema: dialect, ...rest } = z.toJSONSchema(schema, { io: 'input' })
    return { dialect, rest }
  }
  const front = of(frontSchema)
  return {
    $schema: front.dialect,
    title: 'A runbook of opskit',
    description: 'A Markdown file: `front` is its front matter, `block` the ```yaml block of an item.',
    $defs: { front: front.rest, block: of(blockSchema).rest },
    $ref: '#/$defs/front',
  }
}
