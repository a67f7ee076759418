/** One backup as text: facts first, then its files, its databases and what was learned since. */
import { describePaths } from './backup-text.ts'
import type { BackupEntry, BackupRecord } from '../backup/types.ts'
import { formatDuration, formatSize } from '../core/duration.ts'
import { printable } from '../core/printable.ts'
import { formatTable } from '../report/table.ts'
import { terminalWidth } from './output.ts'

/** @param now wall clock milliseconds */
export async function describeTable(entry: BackupEntry, now: number): Promise<string> {
  const { manifest } = entry
  const columns = terminalWidth()
  const width = columns === undefined ? {} : { width: columns }
  const files = manifest.files.map(({ path, role, sizeBytes, plainBytes, sha256 }) => [
    ...[path, role, formatSize(sizeBytes), plainBytes === undefined ? '' : formatSize(plainBytes), sha256.slice(0, 16)],
  ])
  const sections = [
    describePaths(factsOf(entry, now)),
    formatTable({ columns: ['file', 'holds', 'size', 'unpacked', 'SHA-256'], rows: files }, width),
    ...databasesOf(entry).map((table) => formatTable(table, width)),
    ...(entry.records.length > 0 ? [describePaths(entry.records.map((record) => recordLine(record)))] : []),
  ]
  return printable(sections.join('\n\n'))
}

type Line = readonly [name: string, value: string]

function factsOf({ id, at, path, sizeBytes, manifest, pinned, failedBecause }: BackupEntry, now: number): Line[] {
  const { server, position = {}, tools, encryption, content, parent, group, warnings, notes = [] } = manifest
  const list = (facts: Readonly<Record<string, string>>) =>
    Object.entries(facts)
      .map(([key, value]) => `${key} ${value}`)
      .join(', ')
  const optional: (Line | undefined)[] = [
    server && ['server', `${server.family} ${server.version}`],
    Object.keys(position).length > 0 ? ['position', list(position)] : undefined,
    content && ['paths', content.paths.join(', ')],
    content && ['content', `${content.files} files, ${formatSize(content.bytes)}`],
    parent === undefined ? undefined : ['builds on', parent],
    group === undefined ? undefined : ['group', group],
    encryption && ['encrypted to', encryption.recipients.join(', ')],
    pinned ? ['pinned', 'yes'] : undefined,
    failedBecause === undefined ? undefined : ['BAD', failedBecause],
    ...warnings.map((text): Line => ['warning', text]),
    ...notes.map((text): Line => ['note', text]),
  ]
  return [
    ['backup', id],
    [
      'taken',
      `${new Date(at).toISOString()} (${formatDuration(Math.max(0, now - at))} ago) in ${formatDuration(manifest.durationMs)}`,
    ],
    ['from', manifest.host],
    ['lies in', path],
    ['size', formatSize(sizeBytes)],
    ['made by', `opskit ${manifest.opskit}, ${list(tools)}`],
    ...optional.filter((line) => line !== undefined),
  ]
}

function databasesOf({ manifest }: BackupEntry) {
  return (manifest.databases ?? []).map((database) => ({
    columns: [`table of ${database.name}`, 'rows', 'fingerprint'],
    rows: database.tables.map(({ name, schema, rows, fingerprint }) => [
      schema === undefined ? name : `${schema}.${name}`,
      rows === undefined ? '' : rows.toLocaleString('en'),
      fingerprint ?? '',
    ]),
  }))
}

function recordLine(record: BackupRecord): Line {
  switch (record.type) {
    case 'verified':
      return [record.at, `verified (${record.level}): ${record.ok ? '' : 'FAILED: '}${record.because}`]
    case 'drilled':
      return [record.at, `drilled in ${formatDuration(record.rtoMs)}: ${record.ok ? '' : 'FAILED: '}${record.because}`]
    case 'copied':
      return [record.at, `copied to ${record.target}: ${record.ok ? '' : 'FAILED: '}${record.because}`]
    case 'pinned':
      return [record.at, `pinned: ${record.reason}`]
    case 'unpinned':
      return [record.at, 'unpinned']
  }
}
