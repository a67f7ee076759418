import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { configSchema } from '../scripts/lib/config/schema/index.ts'
import { renderDefaults, renderReference } from './support/reference.ts'

describe('docs/reference', () => {
  it('says what the program says (npm run docs brings it up to date)', async () => {
    for (const [name, text] of Object.entries(await renderReference())) {
      const written = await readFile(new URL(`../docs/reference/${name}`, import.meta.url), 'utf8')
      expect(written, name).toBe(text)
    }
  }, 30_000)
})

describe('the defaults without a config', () => {
  it('are what the schema makes of an empty file (npm run docs brings them up to date)', async () => {
    const written = await readFile(new URL('../scripts/lib/config/defaults.json', import.meta.url), 'utf8')
    expect(written).toBe(renderDefaults())
    expect(JSON.parse(written)).toEqual(configSchema.parse({}))
  })
})
