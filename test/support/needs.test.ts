import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { decideInstall, findMissing, isStatic, NEEDS, type Need } from './needs.ts'
import { tempDir } from './temp.ts'

const ssh: Need = { programs: ['ssh'], debianPackage: 'openssh-client', why: 'a client' }
const agent: Need = { programs: ['ssh-agent'], debianPackage: 'openssh-client', why: 'keys' }
const nginx: Need = { programs: ['nginx'], debianPackage: 'nginx', why: 'a web server' }

describe('what is done about missing programs', () => {
  it('is nothing when there are none', () => {
    expect(decideInstall({ missing: [], isRoot: false, isDebian: false })).toEqual({ kind: 'ready' })
  })

  it('is to install only what is missing, each package once, as root on Debian, and to say why', () => {
    expect(decideInstall({ missing: [ssh, agent, nginx], isRoot: true, isDebian: true })).toEqual({
      kind: 'install',
      packages: ['openssh-client', 'nginx'],
      lines: [
        'The tests need programs that this machine does not have:',
        '  ssh (Debian package openssh-client): a client',
        '  ssh-agent (Debian package openssh-client): keys',
        '  nginx (Debian package nginx): a web server',
        'Installing with apt-get: openssh-client nginx',
      ],
    })
  })

  it.each([
    [
      'without root',
      { isRoot: false, isDebian: true },
      'Install them: sudo apt-get install --no-install-recommends nginx',
    ],
    [
      'on another system',
      { isRoot: true, isDebian: false },
      'Install them with the package manager of this system, or run the tests as root in a Debian container.',
    ],
  ])('is to refuse %s, and to say how to get them and what runs without', (_title, facts, how) => {
    const decision = decideInstall({ missing: [nginx], ...facts })
    expect(decision.kind).toBe('refuse')
    expect(decision).toHaveProperty('lines', [
      'The tests need programs that this machine does not have:',
      '  nginx (Debian package nginx): a web server',
      how,
      'What needs no server runs with: npx vitest run --project unit',
    ])
  })
})

describe('a program', () => {
  it('is missing until one of its names is an executable file on PATH, or its pattern finds one', async () => {
    const dir = await tempDir()
    const wanted: Need = { ...nginx, programs: ['opskit-a', `${dir}/*/opskit-b`] }
    const file = join(dir, 'opskit-a')
    writeFileSync(file, '', { mode: 0o644 })
    expect(findMissing([wanted], `/nowhere:${dir}`)).toEqual([wanted])
    chmodSync(file, 0o755)
    expect(findMissing([wanted], `/nowhere:${dir}`)).toEqual([])
  })

  it('that must be static is missing when it asks for a loader', async () => {
    const node: Need = { ...nginx, programs: [process.execPath] }
    expect(findMissing([node], '')).toEqual([])
    expect(findMissing([{ ...node, staticProgram: true }], '')).toHaveLength(1)
    expect(isStatic(readFileSync(new URL(import.meta.url)))).toBe(false)
  })

  it('of a static ELF file is recognised', () => {
    const elf = Buffer.alloc(64 + 56)
    elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1])
    elf.writeBigUInt64LE(64n, 32)
    elf.writeUInt16LE(56, 54)
    elf.writeUInt16LE(1, 56)
    elf.writeUInt32LE(1, 64)
    expect(isStatic(elf)).toBe(true)
    elf.writeUInt32LE(3, 64)
    expect(isStatic(elf)).toBe(false)
  })

  it('has a Debian package and a reason', () => {
    for (const { debianPackage, why } of NEEDS) {
      expect(debianPackage).toMatch(/^[a-z0-9][a-z0-9.+-]+$/)
      expect(why).not.toBe('')
    }
  })
})
