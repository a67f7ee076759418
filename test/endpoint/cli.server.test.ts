/** endpoint.ts as operators run it: what it prints, where, and how it ends. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import QRCode from 'qrcode'
import { beforeAll, afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { opskit } from '../support/opskit.ts'
import { freePort } from '../support/ports.ts'
import { startHttpServer, type BadServer } from '../support/tcp.ts'
import { makeTempDir, tempDir } from '../support/temp.ts'

let dir: { path: string; remove(): Promise<void> }
let up: BadServer
let dead: string

beforeAll(async () => {
  dir = await makeTempDir('endpoint-cli')
  up = await startHttpServer('ok')
  dead = `http://127.0.0.1:${await freePort()}`
  const client = `{ allow_private: true, timeout: 1s, failures: 1, api: ["${dead}", "http://${up.address}"] }`
  await writeFile(
    join(dir.path, 'opskit.yaml'),
    `name: web-1\nstate: { dir: ./state }\nendpoint: { client: ${client} }\n`,
  )
  await writeFile(join(dir.path, 'list.txt'), 'DomainList:\na.example.com\nb.example.com\n')
  await writeFile(
    join(dir.path, 'wrong.txt'),
    '\ufeffDomainList: x\nhttps://a.example.com\nb.example.com，c.example.com\n',
  )
})
afterAll(async () => {
  await up.close()
  await dir.remove()
})

const run = (...args: string[]) => opskit('endpoint', args, { cwd: dir.path })

describe('endpoint', () => {
  it('checks, switches, and gives scripts the address to use', async () => {
    expect((await run('current')).stdout).toBe(`${dead}\n`)
    const checked = await run('check', '--json')
    expect(checked.exitCode).toBe(1)
    expect(JSON.parse(checked.stdout)).toMatchObject({
      findings: expect.arrayContaining([expect.objectContaining({ check: 'endpoint.switch' })]) as unknown,
    })
    expect(await run('current')).toMatchObject({ exitCode: 0, stdout: `http://${up.address}\n` })
    const list = await run('list')
    expect(list.stdout).toMatch(new RegExp(`yes +http://${up.address} +1 +healthy`))
    expect(list.stdout).toMatch(new RegExp(`${dead} +0 +unhealthy`))
    expect(JSON.parse((await run('list', '--json')).stdout)).toMatchObject({
      api: [{ url: dead, state: 'unhealthy' }, { current: true }],
      socketio: [],
    })
  })

  it('adds, uses and removes, and shows what it would do first', async () => {
    const url = 'https://api.example.com'
    const planned = await run('add', url, '--priority', '9', '--dry-run')
    expect(planned.stdout).toContain(`+ api 9 ${url}`)
    expect((await run('list')).stdout).not.toContain(url)
    expect((await run('add', url, '--priority', '9')).stdout).toContain('done')
    expect((await run('add', url, '--priority', '9')).stdout).toContain('nothing to do')
    expect((await run('use', url)).stdout).toContain('done')
    expect((await run('current')).stdout).toBe(`${url}\n`)
    expect((await run('use', 'auto')).exitCode).toBe(0)
    expect(JSON.parse((await run('remove', url, '--json')).stdout)).toMatchObject({ changed: true })
    expect((await run('list')).stdout).not.toContain(url)
  })

  it('ends with 2, and still names one, when every endpoint is out', async () => {
    const own = await tempDir()
    await writeFile(
      join(own, 'opskit.yaml'),
      `state: { dir: ./state }\nendpoint: { client: { allow_private: true, failures: 1, api: ["${dead}"] } }\n`,
    )
    expect((await opskit('endpoint', ['check'], { cwd: own })).exitCode).toBe(2)
    const current = await opskit('endpoint', ['current'], { cwd: own })
    expect(current).toMatchObject({ exitCode: 2, stdout: `${dead}\n` })
    expect(current.stderr).toContain('it is out')
  })

  it('checks the file of a list by line', async () => {
    expect(await run('check', '--file', 'list.txt')).toMatchObject({ exitCode: 0 })
    const wrong = await run('check', '--file', 'wrong.txt')
    expect(wrong.exitCode).toBe(2)
    for (const place of ['wrong.txt:1', 'wrong.txt:2', 'wrong.txt:3']) expect(wrong.stdout).toContain(place)
  })

  it('draws a QR code in the terminal and as a picture, in all three forms', async () => {
    for (const [form, key] of [
      ['single', 'api_url'],
      ['list', 'api_endpoints'],
      ['priority', 'priority'],
    ] as const) {
      const { stdout } = await run('qr', '--file', 'list.txt', '--form', form, '--room', 'room123', '--text')
      expect(Object.keys(JSON.parse(stdout) as object)).toContain('room_id')
      expect(stdout).toContain(key)
    }
    const text = (await run('qr', '--file', 'list.txt', '--text')).stdout.trim()
    const { modules } = QRCode.create(text)
    const drawn = (await run('qr', '--file', 'list.txt')).stdout.replace(/\n$/, '').split('\n')
    expect(modulesOf(drawn, modules.size)).toEqual(Array.from(modules.data, Boolean))
    const svg = join(await tempDir(), 'list.svg')
    expect((await run('qr', '--file', 'list.txt', '--output', svg)).stdout).toContain('written to')
    expect(await readFile(svg, 'utf8')).toBe(`${(await QRCode.toString(text, { type: 'svg', margin: 4 })).trimEnd()}\n`)
  })

  it('updates from a server, and keeps its list when there is none', async () => {
    const server = await startHttpServer(JSON.stringify({ socketio_endpoints: ['https://socket.example.com'] }))
    onTestFinished(() => server.close())
    expect(await run('update', '--url', dead, '--fallback-url', `http://${server.address}`)).toMatchObject({
      exitCode: 0,
    })
    expect((await run('current', '--kind', 'socketio')).stdout).toBe('https://socket.example.com\n')
    const failed = await run('update', '--url', dead)
    expect(failed.exitCode).toBe(69)
    expect(failed.stderr).toContain('The list in use stays as it is.')
    expect((await run('current', '--kind', 'socketio')).stdout).toBe('https://socket.example.com\n')
  })

  it('checks again and again until it is interrupted', async () => {
    const ran = await opskit('endpoint', ['check', '--file', 'list.txt', '--watch', '100ms'], {
      cwd: dir.path,
      onStart: (pid) => setTimeout(() => process.kill(pid, 'SIGINT'), 3_000),
    })
    expect(ran.exitCode).toBe(130)
    expect(ran.stdout.match(/2 hosts are valid|OK:/g)?.length).toBeGreaterThan(1)
  })

  it.each<[string, string[], number, string]>([
    ['an unknown command', ['chekc'], 64, 'check'],
    ['an unknown flag', ['check', '--wacth', '5s'], 64, '--watch'],
    ['an unknown kind', ['current', '--kind', 'smtp'], 64, 'socketio'],
    ['a priority that is none', ['add', 'https://a.example.com', '--priority', 'x'], 64, 'whole number'],
    ['an address that is none', ['add', 'a.example.com'], 64, 'https://api.example.com'],
    ['an endpoint that is not listed', ['use', 'https://no.example.com'], 64, 'Known:'],
    ['a list that is missing', ['check', '--file', 'nowhere.txt'], 64, 'nowhere.txt'],
    ['a wrong list for a QR code', ['qr', '--file', 'wrong.txt'], 74, 'wrong.txt:2'],
    ['a dry run of a file', ['check', '--file', 'list.txt', '--dry-run'], 64, 'exclude'],
    ['a missing config', ['list', '--config', 'nowhere.yaml'], 78, 'nowhere.yaml'],
  ])('refuses %s and says what to try', async (_what, args, exitCode, hint) => {
    const ran = await run(...args)
    expect(ran.stderr).toContain(hint)
    expect(ran.stdout).toBe('')
    expect(ran.exitCode).toBe(exitCode)
  })
})

/** Half blocks to dark and light modules; the quiet zone around them is cut off. */
function modulesOf(lines: readonly string[], size: number): boolean[] {
  const rows = lines.flatMap((line) => {
    const cells = [...line]
    return [cells.map((cell) => '█▀'.includes(cell)), cells.map((cell) => '█▄'.includes(cell))]
  })
  const margin = (Math.max(...lines.map((line) => [...line].length)) - size) / 2
  return rows
    .slice(margin, margin + size)
    .flatMap((row) => Array.from({ length: size }, (_, x) => row[margin + x] ?? false))
}
