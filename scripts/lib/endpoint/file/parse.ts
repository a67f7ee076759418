/**
 * An endpoint list exactly as the reference server reads it, its surprises included: a byte order mark hides the first
 * section, text after a section's colon is dropped, IPv6 addresses get no brackets. lint.ts finds these.
 */
import { readLines, type Section } from './lines.ts'

export interface EndpointFile {
  /** In order; what stands twice is here twice. */
  readonly domains: readonly string[]
  readonly ips: readonly string[]
}

export function parseEndpointFile(text: string): EndpointFile {
  const lines = readLines(text)
  const itemsOf = (section: Section) =>
    lines.flatMap((line) => (line.kind === 'items' && line.section === section ? line.items : []))
  return { domains: itemsOf('domains'), ips: itemsOf('ips') }
}
