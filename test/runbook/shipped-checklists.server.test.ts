/** The checklists and the drill of everything that is backed up, gone through as people do. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { opskit } from '../support/opskit.ts'
import { startHttpServer, type BadServer } from '../support/tcp.ts'
import { makeTempDir } from '../support/temp.ts'
import { makeBench, type Bench } from './shipped-support.ts'

let bench: Bench
let site: BadServer
let www: Awaited<ReturnType<typeof makeTempDir>>
const busy = { override: 'this machine runs other tests too' }

beforeAll(async () => {
  site = await startHttpServer('ok')
  www = await makeTempDir('www')
  bench = await makeBench({ backup: { repository: 'backups', static: { site: { paths: [www.path] } } } })
  await writeFile(join(www.path, 'index.html'), 'hello\n')
})

afterAll(async () => {
  await Promise.all([site?.close(), bench?.remove(), www?.remove()])
})

describe('incident-during', () => {
  it('diagnoses, and is done when each item has an answer', async () => {
    const ran = await bench.start('incident-during', { params: { what: 'the shop' } })
    expect(ran.exitCode, ran.said).toBe(0)
    expect(ran.said).toContain('"milestone":"mitigated"')
  })

  it('takes no tick where it asks what was seen', async () => {
    const ran = await bench.start('incident-during', { answers: { scope: 'done' } })
    expect(ran.exitCode, ran.said).toBe(64)
    expect(ran.stderr).toContain('1.1 (scope) needs evidence')
  })
})

describe('incident-after', () => {
  it('asks the API and the site, and stops when one does not answer', async () => {
    const url = `http://127.0.0.1:${site.port}`
    const ran = await bench.start('incident-after', {
      params: { api: `${url}/api/health`, site: url },
      answers: { services: busy },
    })
    expect(ran.exitCode, ran.said).toBe(0)
    const dead = await bench.start('incident-after', {
      params: { api: 'http://127.0.0.1:1/' },
      answers: { services: busy },
    })
    expect(dead.exitCode, dead.said).toBe(11)
    expect(dead.stdout).toMatch(/1\.2 .* exit status 7/)
  })
})

describe('prevention', () => {
  it('restores every backup in a drill, and fails where there is none', async () => {
    const answers = { backups: busy, diagnose: busy }
    const none = await bench.start('prevention', { answers })
    expect(none.exitCode, none.said).toBe(11)
    const made = await opskit('backup', ['run', '--all', '--config', join(bench.path, 'opskit.yaml')], {
      cwd: bench.path,
    })
    expect(made.exitCode, made.stderr).toBe(0)
    const ran = await bench.start('prevention', { answers })
    expect(ran.exitCode, ran.said).toBe(0)
  })
})
