/**
 * What `npm pack` ships: compiled JavaScript with declarations, unpacked into an empty project that has nothing else (so a
 * stray dependency would be missed at once), run by the machine's own Node and type-checked without Node's or our types.
 */
import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../support/ports.ts'
import { startHttpServer } from '../support/tcp.ts'
import { makeTempDir } from '../support/temp.ts'

const run = promisify(execFile)
const root = new URL('../..', import.meta.url).pathname
const fixtures = join(root, 'test/resilience/fixtures/consumer')
const tsc = join(root, 'node_modules/.bin/tsc')

let project: Awaited<ReturnType<typeof makeTempDir>>
let installed: string
let docs: readonly string[]

beforeAll(async () => {
  project = await makeTempDir('pack')
  installed = join(project.path, 'node_modules/opskit')
  await mkdir(installed, { recursive: true })
  await run('npm', ['pack', '--pack-destination', project.path], { cwd: root, timeout: 60_000 })
  const tarball = (await readdir(project.path)).find((name) => name.endsWith('.tgz')) ?? ''
  await run('tar', ['-xzf', join(project.path, tarball), '-C', installed, '--strip-components=1'])
  for (const name of await readdir(fixtures))
    await cp(join(fixtures, name), join(project.path, name.replace(/\.txt$/, '')))
  docs = await readDocPrograms()
  await Promise.all(docs.map((text, i) => writeFile(join(project.path, `doc-${i}.ts`), text)))
})
afterAll(() => project.remove())

describe('the packed library', () => {
  it('is type-checked and compiled in a project that has no other package', async () => {
    const files = ['consumer.ts', 'globals.d.ts', ...docs.map((_, i) => `doc-${i}.ts`)]
    await writeFile(join(project.path, 'tsconfig.json'), JSON.stringify({ compilerOptions: CONSUMER, files }))
    const { stdout } = await run(tsc, ['-p', project.path], { timeout: 60_000 }).catch(
      (error: { stdout: string }) => error,
    )
    expect(stdout).toBe('')
    expect(await readdir(project.path)).toContain('consumer.js')
  })

  it('fails over between real servers under the machine’s own Node', async () => {
    const good = await startHttpServer('hello')
    const dead = `127.0.0.1:${await freePort()}`
    const { stdout } = await run(ownNode(), ['consumer.js', dead, good.address], { cwd: project.path, timeout: 30_000 })
    await good.close()
    expect(stdout).toBe(`hello after ${dead}\n`)
  })

  it('runs the programs of its how-to page as they stand there', async () => {
    const good = await startHttpServer('Ada, Grace')
    const dead = `127.0.0.1:${await freePort()}`
    const outputs: string[] = []
    for (const i of docs.keys()) {
      const path = join(project.path, `doc-${i}.js`)
      const text = await readFile(path, 'utf8')
      await writeFile(path, text.replace('192.0.2.1:8080', dead).replace('192.0.2.2:8080', good.address))
      outputs.push((await run(ownNode(), [path], { cwd: project.path, timeout: 30_000 })).stdout)
    }
    await good.close()
    expect(outputs).toEqual(['Ada, Grace (from users-2, 1 retries)\n', '', 'sent\n'])
  })

  it('needs nothing of Node but, when it is asked to connect, its sockets', async () => {
    const files = (await readdir(join(installed, 'dist'), { recursive: true })).filter((name) => name.endsWith('.js'))
    const texts = await Promise.all(files.map((name) => readFile(join(installed, 'dist', name), 'utf8')))
    const imports = /^(?:import|export) .*from "([^"]+)"|\bimport\(["']([^"']+)["']\)/gm
    const specifiers = texts.flatMap((text) => [...text.matchAll(imports)].map(([, fixed, lazy]) => fixed ?? lazy))
    expect(files.length).toBeGreaterThan(20)
    expect(specifiers.filter((name) => !name?.startsWith('.'))).toEqual(['node:net'])
  })

  it('holds no source, test or file of anyone’s machine', async () => {
    const files = await readdir(installed, { recursive: true, withFileTypes: true })
    const names = files.filter((file) => file.isFile()).map(({ name }) => name)
    expect(names.filter((name) => !/\.(?:js|d\.ts)$|^(?:package\.json|README\.md|LICENSE)$/.test(name))).toEqual([])
  })
})

const CONSUMER = {
  strict: true,
  module: 'nodenext',
  target: 'es2022',
  lib: ['es2022', 'dom'],
  types: [],
  skipLibCheck: false,
}

/** The TypeScript programs of the how-to page. */
async function readDocPrograms(): Promise<string[]> {
  const page = await readFile(join(root, 'docs/how-to/failover-library.md'), 'utf8')
  return [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, text]) => text ?? '')
}

/** The first `node` on PATH that no project brought along. */
function ownNode(): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'))
  const found = folders.map((folder) => join(folder, 'node')).find(isExecutable)
  if (!found) throw new Error('there is no Node on PATH but the one of this project')
  return found
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
