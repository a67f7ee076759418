import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const DOOR = fileURLToPath(new URL('../../scripts/lib/endpoint/client/index.ts', import.meta.url))

/** Every file that is loaded with the library, and every package that it asks for. Lazy imports are not loaded. */
function loadedWith(path: string, seen = new Map<string, string[]>()): Map<string, string[]> {
  if (seen.has(path)) return seen
  const targets = [...readFileSync(path, 'utf8').matchAll(/^(?:import|export)\s+(?!type\b)[^'"]*?from\s+'([^']+)'/gms)]
  const names = targets.map(([, name = '']) => name)
  seen.set(
    path,
    names.filter((name) => !name.startsWith('.')),
  )
  for (const name of names) if (name.startsWith('.')) loadedWith(join(dirname(path), name), seen)
  return seen
}

describe('the client as a library', () => {
  it('loads nothing that a browser does not have', () => {
    const loaded = loadedWith(DOOR)
    expect(loaded.size).toBeGreaterThan(15)
    expect([...loaded].filter(([, packages]) => packages.length > 0)).toEqual([])
  })

  it('names nothing of Node in its own files', () => {
    const own = [...loadedWith(DOOR).keys()].filter((path) => path.includes('/lib/endpoint/'))
    expect(
      own.filter((path) =>
        /\b(?:Buffer|process|require|setImmediate)\b/.test(
          readFileSync(path, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, ''),
        ),
      ),
    ).toEqual([])
  })
})
