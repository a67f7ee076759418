/** Whether files that were put somewhere are those of the index: by what they are, and by content where it has checksums. */
import { asBytes, type FileFacts } from '../../files/facts.ts'
import { readChecksums, readFileTools, type FileTools } from '../../files/tar.ts'
import type { Place } from '../../pipeline/place.ts'
import { readLive } from './live.ts'
import { sameTime } from './moves.ts'

export interface CompareRequest {
  readonly place: Place
  /** Where the paths begin: a directory, or empty for `/`. */
  readonly directory: string
  readonly wanted: readonly FileFacts[]
  /** Look at contents too, where the index has a checksum. */
  readonly checksums: boolean
}

const MAX_DIFFERENCES = 20

/** @returns what differs from the index, a sentence each */
export async function compareFiles({ place, directory, wanted, checksums }: CompareRequest): Promise<string[]> {
  const tools = await readFileTools(place)
  const live = await readLive(place, directory, wanted, tools)
  const differences = wanted.flatMap((entry) => {
    const bytes = asBytes(entry)
    // A link to a directory that was left where it stood.
    if (entry.type === 'directory' && live.get(`${bytes.path}/`)?.type === 'directory') return []
    const problem = decideDifference(bytes, live.get(bytes.path))
    return problem === undefined ? [] : [`/${entry.path} ${problem}`]
  })
  if (differences.length > 0 || !checksums) return differences.slice(0, MAX_DIFFERENCES)
  const other = await findOtherContents({ place, directory, wanted }, tools)
  return other.slice(0, MAX_DIFFERENCES).map(({ path }) => `/${path} has other content`)
}

/** @returns those that have a checksum in the index and another one there; none when no checksums can be taken there */
export async function findOtherContents(
  { place, directory, wanted }: Omit<CompareRequest, 'checksums'>,
  tools: FileTools,
): Promise<readonly FileFacts[]> {
  if (!tools.checksums) return []
  const summed = wanted.filter(({ sha256, type }) => sha256 !== undefined && type === 'file')
  const placed = summed.map((entry) => ({
    ...entry,
    path: `${directory.replace(/^\//, '')}/${entry.path}`.replace(/^\//, ''),
  }))
  const found = await readChecksums(place, placed)
  return summed.filter((entry, index) => found.get(placed[index]?.path ?? '') !== entry.sha256)
}

function decideDifference(entry: FileFacts, found: FileFacts | undefined): string | undefined {
  if (!found) return 'is missing'
  if (found.type !== entry.type) return `is a ${found.type}, not a ${entry.type}`
  if (found.uid !== entry.uid || found.gid !== entry.gid) {
    return `belongs to ${found.uid}:${found.gid}, not to ${entry.uid}:${entry.gid}`
  }
  if (entry.type === 'link') return found.target === entry.target ? undefined : `points to ${found.target}`
  if (found.mode !== entry.mode) return `has the mode ${found.mode.toString(8)}, not ${entry.mode.toString(8)}`
  if (entry.type !== 'file') return undefined
  if (found.sizeBytes !== entry.sizeBytes) return `has ${found.sizeBytes} bytes, not ${entry.sizeBytes}`
  return sameTime(found.mtime, entry.mtime) || !entry.mtime.includes('.') ? undefined : 'has another time of change'
}
