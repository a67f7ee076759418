/** What lies where files of a backup belong: on this machine or another, in a tree or below a directory. */
import { asBytes, type FileFacts } from '../../files/facts.ts'
import { scanFiles } from '../../files/scan.ts'
import type { FileTools } from '../../files/tar.ts'
import { runTool, type Place } from '../../pipeline/place.ts'

/** An argument list holds a few thousand paths. */
const ROOTS_PER_CALL = 500

/** What lies where the entries belong; by path below `directory`, one character a byte. */
export async function readLive(
  place: Place,
  directory: string,
  entries: readonly FileFacts[],
  tools: FileTools,
): Promise<Map<string, FileFacts>> {
  const roots = topsOf(entries.map(({ path }) => path))
  const known = new Map<string, FileFacts>()
  for (let at = 0; at < roots.length; at += ROOTS_PER_CALL) {
    const there = await keepExisting(
      place,
      roots.slice(at, at + ROOTS_PER_CALL).map((path) => `${directory}/${path}`),
    )
    if (there.length === 0) continue
    const { entries: found } = await scanFiles(place, {
      ...{ paths: there, isExcluded: () => false, gnu: tools.gnuFind },
      below: directory,
    })
    for (const facts of found.map(asBytes)) known.set(facts.path, facts)
  }
  await lookBehindLinks({ place, directory, entries, tools }, known)
  return known
}

interface Look {
  readonly place: Place
  readonly directory: string
  readonly entries: readonly FileFacts[]
  readonly tools: FileTools
}

/** Where a link stands and the entries have a directory, what it leads to is looked at as well: `link/` is the directory. */
async function lookBehindLinks(
  { place, directory, entries, tools }: Look,
  known: Map<string, FileFacts>,
): Promise<void> {
  const linked = entries.filter(
    (entry) => entry.type === 'directory' && known.get(asBytes(entry).path)?.type === 'link',
  )
  for (const { path } of linked) {
    // Only a directory has a `.` in it.
    const [there] = await keepExisting(place, [`${directory}/${path}/.`])
    if (there === undefined) continue
    const { entries: behind } = await scanFiles(place, { paths: [there], isExcluded: () => false, gnu: tools.gnuFind })
    const top = `${directory}/${path}`.slice(1)
    for (const facts of behind.map(asBytes)) {
      const below =
        Buffer.from(path).toString('latin1') + facts.path.slice(Buffer.byteLength(top)).replace(/^\/\.\/?/, '/')
      known.set(below, { ...facts, path: below })
    }
  }
}

/** The paths that are not below another one of them. */
export function topsOf(paths: readonly string[]): string[] {
  const all = new Set(paths)
  const isBelow = (path: string) => {
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      if (all.has(path.slice(0, slash))) return true
    }
    return false
  }
  return paths.filter((path) => !isBelow(path))
}

async function keepExisting(place: Place, paths: readonly string[]): Promise<string[]> {
  const script = 'for p do if [ -e "$p" ] || [ -L "$p" ]; then printf "%s\\0" "$p"; fi; done'
  const { stdout } = await runTool(place, { argv: ['sh', '-c', script, 'opskit', ...paths] })
  const there = new Set(stdout.split('\0'))
  return paths.filter((path) => there.has(path))
}
