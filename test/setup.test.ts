/** What a fresh clone relies on. */
import { readFileSync, statSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

interface Lock {
  readonly packages: Readonly<
    Record<string, { readonly resolved?: string; readonly hasInstallScript?: boolean; readonly link?: boolean }>
  >
}
interface Manifest {
  readonly optionalDependencies: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly allowScripts: Readonly<Record<string, boolean>>
}

const lock = JSON.parse(read('package-lock.json')) as Lock
const manifest = JSON.parse(read('package.json')) as Manifest

describe('the set-up', () => {
  it('records no registry in the lock file, so that every mirror serves', () => {
    const named = Object.entries(lock.packages).filter(([, entry]) => entry.resolved !== undefined)
    expect(named.map(([name]) => name)).toEqual([])
    expect(Object.keys(lock.packages).length).toBeGreaterThan(100)
  })

  it('pins every direct dependency', () => {
    const all = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies }
    expect(Object.entries(all).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([])
  })

  it('brings Node 24', () => {
    expect(manifest.optionalDependencies['node']).toMatch(/^24\./)
    expect(process.version).toBe(`v${manifest.optionalDependencies['node']}`)
  })

  it('decides about every install script there is', () => {
    const names = Object.entries(lock.packages).flatMap(([path, entry]) =>
      entry.hasInstallScript ? [path.replace(/^.*node_modules\//, '')] : [],
    )
    expect(names.filter((name) => !(name in manifest.allowScripts))).toEqual([])
  })

  it('runs npm ci and npm test in CI, nothing more', () => {
    const [, ...lines] = read('.ci/run').trim().split('\n')
    expect(lines).toEqual(['set -euo pipefail', 'npm ci && npm test'])
    expect(statSync(new URL('../.ci/run', import.meta.url)).mode & 0o111).not.toBe(0)
  })

  it('shows the two first commands, each alone on a line of the README', () => {
    const lines = read('README.md').split('\n')
    expect(lines).toContain('npm ci && npx zx scripts/diagnose.ts')
    expect(lines).toContain('npm ci && npm test')
  })
})
