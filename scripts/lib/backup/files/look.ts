/** The look at files after they were read: which of them moved under the reader. */
import type { Argv } from '../../core/quote.ts'
import type { Place } from '../pipeline/place.ts'
import { decideMoved } from './changes.ts'
import { asBytes, type FileFacts } from './facts.ts'
import { lookAgain, type Scanning } from './scan.ts'
import type { FileTools } from './tar.ts'

/** @throws OpsError as a scan */
export type Look = (files: readonly FileFacts[]) => Promise<ReturnType<typeof decideMoved>>

export interface LookOptions {
  readonly place: Place
  readonly tools: FileTools
  readonly paths: readonly string[]
  /** The whole scan once more. */
  readonly startAgain: () => Scanning
}

/** So many are asked for one by one rather than by a walk through everything. */
const FEW = 1_000

export function createLook({ place, tools, paths, startAgain }: LookOptions): Look {
  return async (files) => {
    if (!tools.gnuFind) return decideMoved(files, (await startAgain().done).entries)
    const suspects = files.length <= FEW ? files : await findSuspects(place, { paths, files })
    return decideMoved(suspects, suspects.length === 0 ? [] : await lookAgain(place, suspects))
  }
}

/**
 * Which of these files are perhaps no longer as they were, by GNU find: another inode, or another change time, which the
 * kernel sets with every change of content, size, mode and owner (inode(7)). Cheaper than a scan, which reads all of it.
 */
async function findSuspects(
  place: Place,
  { paths, files }: { readonly paths: readonly string[]; readonly files: readonly FileFacts[] },
): Promise<readonly FileFacts[]> {
  const rest = new Map(files.map((file) => [asBytes(file).path, file]))
  const argv: Argv = ['find', '-P', ...paths, '-xdev', '-ignore_readdir_race', '-printf', '%C@ %i %p\\0']
  const tool = await place.start({ argv })
  tool.output?.setEncoding('latin1')
  let last = ''
  // A find that fails leaves more to look at, nothing less; a stream that breaks likewise.
  const pieces = (tool.output ?? []) as AsyncIterable<string>
  try {
    for await (const piece of pieces) {
      const records = (last + piece).split('\0')
      last = records.pop() ?? ''
      for (const record of records) forgetUnchanged(rest, record)
    }
  } catch {
    // Said by the next look, which then is at all that is left.
  }
  await tool.ended
  return [...rest.values()]
}

/** @param record `<ctime> <inode> /<path>` */
function forgetUnchanged(rest: Map<string, FileFacts>, record: string): void {
  const [first, second] = [record.indexOf(' '), record.indexOf(' ', record.indexOf(' ') + 1)]
  const path = record.slice(second + 2)
  const file = rest.get(path)
  if (file?.ctime === record.slice(0, first) && file.inode === record.slice(first + 1, second)) rest.delete(path)
}
