/** What the client knows of its endpoints' health, across a restart. Read back as untrusted text. */
import { createFieldReader } from '../../core/fields.ts'
import { parseJson } from './document.ts'
import type { SavedGroup } from './group.ts'
import type { EndpointKind } from './types.ts'

export interface SavedHealth {
  /** Wall clock, milliseconds. */
  readonly savedAt: number
  readonly groups: Readonly<Record<EndpointKind, SavedGroup>>
}

export function formatHealth({ savedAt, groups }: SavedHealth): string {
  return JSON.stringify({ version: 1, savedAt, ...groups })
}

const read = createFieldReader('kept health')

/** @throws OpsError DATA_MISMATCH for what `formatHealth` did not write */
export function parseHealth(text: string): SavedHealth {
  const record = read.object(parseJson(text, 'what was kept'), 'the document')
  if (read.number(record, 'version') !== 1) read.oneOf(record, 'version', [])
  const groupOf = (kind: EndpointKind): SavedGroup => {
    const group = read.object(record[kind], kind)
    const checkedAt = read.object(group['checkedAt'], 'checkedAt')
    return {
      ...(group['current'] !== undefined && { current: read.text(group, 'current') }),
      isDown: group['isDown'] === true,
      checkedAt: Object.fromEntries(Object.keys(checkedAt).map((url) => [url, read.number(checkedAt, url)])),
      health: read.object(group['health'], 'health'),
    }
  }
  return { savedAt: read.number(record, 'savedAt'), groups: { api: groupOf('api'), socketio: groupOf('socketio') } }
}
