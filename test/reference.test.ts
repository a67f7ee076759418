import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { renderReference } from './support/reference.ts'

describe('docs/reference', () => {
  it('says what the program says (npm run docs brings it up to date)', async () => {
    for (const [name, text] of Object.entries(await renderReference())) {
      const written = await readFile(new URL(`../docs/reference/${name}`, import.meta.url), 'utf8')
      expect(written, name).toBe(text)
    }
  }, 30_000)
})
