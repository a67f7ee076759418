import { spawnSync } from 'node:child_process'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../scripts/lib/config/load.ts'
import { configSchema } from '../../scripts/lib/config/schema/index.ts'
import { tempDir } from '../support/temp.ts'

const ROOT = new URL('../..', import.meta.url).pathname

async function dirWith(files: Readonly<Record<string, string>>): Promise<string> {
  const dir = await tempDir('config')
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text)
  return dir
}

describe('loadConfig', () => {
  it('takes the flag before the environment before the working directory', async () => {
    const cwd = await dirWith({ 'opskit.yaml': 'name: here', 'env.yaml': 'name: env', 'flag.yaml': 'name: flag' })
    const env = { OPSKIT_CONFIG: 'env.yaml' }
    expect((await loadConfig({ path: 'flag.yaml', env, cwd })).config.name).toBe('flag')
    expect((await loadConfig({ env, cwd })).config.name).toBe('env')
    const here = await loadConfig({ env: { OPSKIT_CONFIG: '' }, cwd })
    expect(here).toMatchObject({ config: { name: 'here' }, source: join(cwd, 'opskit.yaml'), warnings: [] })
  })

  it('gives the defaults of the schema when there is no file', async () => {
    const loaded = await loadConfig({ env: {}, cwd: await tempDir() })
    expect(loaded).toEqual({ config: configSchema.parse({}), source: undefined, warnings: [] })
  })

  it('does not load the YAML parser when there is no file', async () => {
    const script = `
      import { registerHooks } from 'node:module'
      const seen = []
      registerHooks({ load: (url, context, next) => (seen.push(url), next(url, context)) })
      const { loadConfig } = await import(${JSON.stringify(join(ROOT, 'scripts/lib/config/load.ts'))})
      const before = seen.filter((url) => url.includes('node_modules')).length
      await loadConfig({ env: {}, cwd: process.argv[1] })
      console.log(JSON.stringify({ before, yaml: seen.some((url) => url.includes('/yaml/')), zod: seen.some((url) => url.includes('/zod/')) }))`
    const node = join(ROOT, 'node_modules/.bin/node')
    const { stdout } = spawnSync(node, ['--input-type=module', '-e', script, await tempDir()], { encoding: 'utf8' })
    expect(JSON.parse(stdout)).toEqual({ before: 0, yaml: false, zod: false })
  })

  it.each([
    ['--config', { path: 'nope.yaml' }, 'nope.yaml: no such file (named by --config)'],
    ['$OPSKIT_CONFIG', { env: { OPSKIT_CONFIG: 'nope.yaml' } }, 'nope.yaml: no such file (named by $OPSKIT_CONFIG)'],
  ])('refuses a file that %s names and that is missing', async (_by, options, message) => {
    await expect(loadConfig({ env: {}, cwd: await tempDir(), ...options })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message,
      details: { place: 'nope.yaml:1:1', hint: expect.stringContaining('--config') as string },
    })
  })

  it('refuses a directory, also in the usual place', async () => {
    const cwd = await tempDir()
    await mkdir(join(cwd, 'opskit.yaml'))
    for (const path of [undefined, 'opskit.yaml']) {
      await expect(loadConfig({ path, env: {}, cwd })).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('a directory, not a file') as string,
      })
    }
  })

  it('says 77 for a file that may not be read', async () => {
    const cwd = await dirWith({ 'opskit.yaml': 'name: x' })
    await chmod(join(cwd, 'opskit.yaml'), 0o000)
    await chmod(cwd, 0o755)
    const script = `
      const { loadConfig } = await import(${JSON.stringify(join(ROOT, 'scripts/lib/config/load.ts'))})
      process.setgid(65534); process.setuid(65534)
      await loadConfig({ env: {}, cwd: process.argv[1] }).catch((error) => console.log(error.code, error.message))`
    const asRoot = process.getuid?.() === 0
    const run = asRoot ? script : script.replace(/process\.set[gu]id\(65534\);?/g, '')
    const node = join(ROOT, 'node_modules/.bin/node')
    const { stdout } = spawnSync(node, ['--input-type=module', '-e', run, cwd], { encoding: 'utf8' })
    expect(stdout.trim()).toBe('NOT_PERMITTED opskit.yaml: not permitted to read it')
  })

  it('refuses what is not UTF-8', async () => {
    const cwd = await tempDir()
    await writeFile(join(cwd, 'opskit.yaml'), Buffer.from([0x6e, 0x61, 0x6d, 0x65, 0x3a, 0x20, 0xc3, 0x28]))
    await expect(loadConfig({ env: {}, cwd })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      details: { place: 'opskit.yaml:1:1' },
    })
  })

  it('names the file with its problem, relative below the working directory and absolute elsewhere', async () => {
    const cwd = await dirWith({ 'opskit.yaml': 'naem: x' })
    await expect(loadConfig({ env: {}, cwd })).rejects.toThrow(/^opskit\.yaml:1:1: naem/)
    await expect(loadConfig({ path: join(cwd, 'opskit.yaml'), env: {}, cwd: await tempDir() })).rejects.toThrow(
      `${cwd}/opskit.yaml:1:1: naem`,
    )
  })

  it('warns of a secret file that everybody can read, and of no other', async () => {
    const cwd = await dirWith({
      'opskit.yaml':
        'hosts:\n  a: { ssh: { host: h, password: { file: open.pass }, passphrase: { file: safe.pass } } }\n',
      'open.pass': 'x',
      'safe.pass': 'x',
    })
    await chmod(join(cwd, 'open.pass'), 0o644)
    await chmod(join(cwd, 'safe.pass'), 0o600)
    const { warnings } = await loadConfig({ env: {}, cwd })
    expect(warnings).toEqual([
      `${cwd}/open.pass holds a secret and every user of this machine can read it: chmod 600 ${cwd}/open.pass`,
    ])
  })
})
