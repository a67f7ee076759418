import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { formatSecretRef, resolveSecret } from '../../scripts/lib/config/secrets.ts'
import { tempDir } from '../support/temp.ts'

describe('resolveSecret', () => {
  it('reads the environment, exactly', async () => {
    const secret = await resolveSecret({ env: 'PW' }, { env: { PW: ' hunter2 \n' } })
    expect([secret.reveal(), secret.source]).toEqual([' hunter2 \n', 'env:PW'])
  })

  it.each([
    ['hunter2', 'hunter2'],
    ['hunter2\n', 'hunter2'],
    ['hunter2\r\n', 'hunter2'],
    [' two words \n\n', ' two words \n'],
    ['first\nsecond\n', 'first\nsecond'],
  ])('reads a file that holds %j as %j', async (text, value) => {
    const file = join(await tempDir(), 'pw')
    await writeFile(file, text)
    const secret = await resolveSecret({ file })
    expect([secret.reveal(), secret.source]).toEqual([value, `file:${file}`])
  })

  it.each([
    [{ env: 'PW' }, {}, 'the secret env:PW is not set'],
    [{ env: 'PW' }, { PW: '' }, 'the secret env:PW is empty'],
  ])('refuses %j in %j', async (ref, env, message) => {
    await expect(resolveSecret(ref, { env })).rejects.toMatchObject({ code: 'CONFIG_INVALID', message })
  })

  it.each([
    ['missing', undefined, /is missing: no such file$/],
    ['empty', '', /is empty$/],
    ['only a line break', '\n', /is empty$/],
    ['endless', 'S3cr3t'.repeat(20_000), /is larger than 64 KiB$/],
  ])('names the reference and not the content when the file is %s', async (_what, text, message) => {
    const file = join(await tempDir(), 'pw')
    if (text !== undefined) await writeFile(file, text)
    const failed = await resolveSecret({ file }).catch((error: unknown) => error as Error)
    expect(failed).toMatchObject({ code: 'CONFIG_INVALID' })
    expect((failed as Error).message).toMatch(message)
    expect((failed as Error).message).toContain(`file:${file}`)
    expect((failed as Error).message).not.toContain('S3cr3t')
  })

  it('refuses a directory', async () => {
    const dir = join(await tempDir(), 'd')
    await mkdir(dir)
    await expect(resolveSecret({ file: dir })).rejects.toThrow(`the secret file:${dir} is a directory`)
  })

  it('ends on a device that never ends', async () => {
    await expect(resolveSecret({ file: '/dev/zero' })).rejects.toThrow('is larger than 64 KiB')
  })
})

describe('formatSecretRef', () => {
  it('writes where a secret is', () => {
    expect([formatSecretRef({ env: 'A' }), formatSecretRef({ file: '/b' })]).toEqual(['env:A', 'file:/b'])
  })
})
