/** PostgreSQL's programs without Debian's script in front of them. */
import { execFileSync } from 'node:child_process'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { withoutWrapper } from '../../../scripts/lib/backup/pipeline/programs.ts'
import { tempDir } from '../../support/temp.ts'

const THERE = { PGHOST: '192.0.2.5' }

describe('a program of PostgreSQL', () => {
  it('is the newest one itself, where the address is given', async () => {
    const [program, ...rest] = await withoutWrapper(['pg_dump', '--version'], THERE)
    expect(program).toMatch(/^\/usr\/lib\/postgresql\/\d+\/bin\/pg_dump$/)
    expect(rest).toEqual(['--version'])
    const env = { ...process.env, ...THERE }
    expect(execFileSync(program, rest, { encoding: 'utf8' })).toBe(
      execFileSync('pg_dump', rest, { encoding: 'utf8', env }),
    )
  })

  it('is left to the script where it has to find the cluster', async () => {
    expect(await withoutWrapper(['pg_dump', '--version'], {})).toEqual(['pg_dump', '--version'])
  })

  it('is what the path says where there is no such script', async () => {
    const dir = await tempDir('path')
    await writeFile(join(dir, 'psql'), '#!/bin/sh\n')
    await chmod(join(dir, 'psql'), 0o755)
    vi.stubEnv('PATH', dir)
    onTestFinished(() => void vi.unstubAllEnvs())
    expect(await withoutWrapper(['psql'], THERE)).toEqual(['psql'])
    expect(await withoutWrapper(['pg_dump'], THERE)).toEqual(['pg_dump'])
  })

  it('is left to a script that stands before programs which are not there', async () => {
    const dir = await tempDir('path')
    await mkdir(join(dir, 'share'))
    await writeFile(join(dir, 'share', 'pg_wrapper'), '#!/bin/sh\n')
    await chmod(join(dir, 'share', 'pg_wrapper'), 0o755)
    await symlink(join(dir, 'share', 'pg_wrapper'), join(dir, 'pg_of_no_version'))
    vi.stubEnv('PATH', dir)
    onTestFinished(() => void vi.unstubAllEnvs())
    expect(await withoutWrapper(['pg_of_no_version'], THERE)).toEqual(['pg_of_no_version'])
  })
})
