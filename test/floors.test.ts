/**
 * Holds the plan of the house: which room may import which, where each outside package lives, no cycles between files,
 * and no file that has outgrown one screen of thought. docs/architecture.md draws the same table.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { describe, expect, it } from 'vitest'

const ROOT = new URL('..', import.meta.url).pathname
const MAX_LINES = 400

const FLOORS = {
  core: ['core'],
  tools: ['config', 'host', 'plan', 'journal', 'notify', 'health', 'resilience', 'report', 'action'],
  domains: ['backup', 'container', 'diagnose', 'performance', 'nginx', 'dns', 'replication', 'route', 'endpoint'],
  conductors: ['schedule', 'runbook', 'promotion', 'coordinator', 'dashboard'],
  entry: ['catalog', 'cli'],
} as const

/** What a tool may use of another tool. Anything not written here is not allowed. */
const BETWEEN_TOOLS: Readonly<Record<string, readonly string[]>> = {
  plan: ['host'],
  action: ['config', 'host', 'journal', 'plan', 'report'],
  host: ['config'],
  notify: ['config', 'journal', 'resilience'],
  resilience: ['health'],
}

/** What a tool may know of another, but not run: the shape of the actions that it offers itself. */
const TYPES_BETWEEN_TOOLS: Readonly<Record<string, readonly string[]>> = {
  notify: ['action', 'plan', 'report'],
}

/** Rooms that stand on their own: a library for programs with no opskit config, no SSH and no Docker. */
const STANDALONE = ['health', 'resilience']

/** The one home of each outside package; `*` = anywhere. Entry files and the cli room may use zx and chalk. */
const PACKAGE_HOMES: Readonly<Record<string, readonly string[]>> = {
  zx: ['host', 'cli', 'entry'],
  ssh2: ['host'],
  'ssh-config': ['host'],
  dockerode: ['host'],
  'node-cron': ['schedule'],
  nodemailer: ['notify'],
  chalk: ['report', 'cli', 'entry'],
  commander: ['cli', 'entry'],
  '@clack/prompts': ['cli', 'entry'],
  yaml: ['config', 'diagnose', 'runbook'],
  picomatch: ['backup', 'diagnose'],
  mysql2: ['diagnose', 'replication', 'backup'],
  pg: ['diagnose', 'replication', 'backup'],
  'fastest-levenshtein': ['core'],
  qrcode: ['cli'],
  zod: ['*'],
}

interface SourceFile {
  readonly path: string
  readonly room: string
  readonly lines: number
  readonly imports: readonly { readonly target: string; readonly typeOnly: boolean }[]
}

const files = readSources()

describe('the floors', () => {
  it('finds the source files it is there to check', () => {
    expect(files.length).toBeGreaterThan(15)
    expect(files.some((file) => file.imports.length > 0)).toBe(true)
  })

  it('lets a room import only from the floors below it', () => {
    const wrong = files.flatMap((file) =>
      file.imports
        .filter(({ target }) => target.startsWith('scripts/'))
        .filter(({ target, typeOnly }) => !mayImport(file.room, roomOf(target), typeOnly))
        .map(({ target }) => `${file.path} imports ${target}`),
    )
    expect(wrong).toEqual([])
  })

  it('keeps each outside package in its home', () => {
    const wrong = files.flatMap((file) =>
      file.imports
        .filter(({ target }) => !target.startsWith('scripts/') && !target.startsWith('node:'))
        .map(({ target }) => ({ file, name: packageOf(target) }))
        .filter(({ file, name }) => {
          const homes = PACKAGE_HOMES[name]
          return !homes || !(homes.includes('*') || homes.includes(file.room))
        })
        .map(({ file, name }) => `${file.path} imports ${name}`),
    )
    expect(wrong).toEqual([])
  })

  it('knows every room', () => {
    const known = [...Object.values(FLOORS).flat(), 'entry'] as string[]
    expect([...new Set(files.map((file) => file.room))].filter((room) => !known.includes(room))).toEqual([])
  })

  it('has no import cycle between files', () => {
    expect(findCycle(files)).toEqual([])
  })

  it(`has no source file over ${MAX_LINES} lines`, () => {
    expect(files.filter((file) => file.lines > MAX_LINES).map((file) => `${file.path}: ${file.lines}`)).toEqual([])
  })
})

function mayImport(from: string, to: string, typeOnly: boolean): boolean {
  if (from === to || from === 'entry') return true
  if (typeOnly && TYPES_BETWEEN_TOOLS[from]?.includes(to)) return true
  const [fromFloor, toFloor] = [floorOf(from), floorOf(to)]
  if (from === 'cli') return to !== 'entry'
  if (from === 'catalog') return toFloor < floorOf('catalog')
  if (STANDALONE.includes(from)) return toFloor === 0 || (BETWEEN_TOOLS[from]?.includes(to) ?? false)
  if (fromFloor === 1 && toFloor === 1) return BETWEEN_TOOLS[from]?.includes(to) ?? false
  if (fromFloor === 3 && toFloor === 2) return false
  return toFloor < fromFloor
}

function floorOf(room: string): number {
  const floors = Object.values(FLOORS) as readonly (readonly string[])[]
  const index = floors.findIndex((rooms) => rooms.includes(room))
  return index === -1 ? floors.length - 1 : index
}

function roomOf(path: string): string {
  if (path === 'scripts/lib/catalog.ts') return 'catalog'
  return /^scripts\/lib\/([^/]+)\//.exec(path)?.[1] ?? 'entry'
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

function readSources(): SourceFile[] {
  return readdirSync(join(ROOT, 'scripts'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => {
      const path = join('scripts', name)
      const text = readFileSync(join(ROOT, path), 'utf8')
      return { path, room: roomOf(path), lines: text.split('\n').length, imports: readImports(path, text) }
    })
}

function readImports(path: string, text: string): SourceFile['imports'] {
  const pattern = /^\s*(?:import|export)\s+(type\s)?[^'"]*?from\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm
  return [...text.matchAll(pattern)].map(([, type, fixed, lazy]) => {
    const specifier = fixed ?? lazy ?? ''
    const target = specifier.startsWith('.') ? relative('.', normalize(join(dirname(path), specifier))) : specifier
    return { target, typeOnly: type !== undefined || lazy !== undefined }
  })
}

/** @returns the files of the first cycle of value imports, in order; empty when there is none */
function findCycle(sources: readonly SourceFile[]): string[] {
  const byPath = new Map(sources.map((file) => [file.path, file]))
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): string[] => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path]
    if (done.has(path)) return []
    for (const { target, typeOnly } of byPath.get(path)?.imports ?? []) {
      const cycle = typeOnly ? [] : visit(target, [...trail, path])
      if (cycle.length > 0) return cycle
    }
    done.add(path)
    return []
  }
  for (const file of sources) {
    const cycle = visit(file.path, [])
    if (cycle.length > 0) return cycle
  }
  return []
}
