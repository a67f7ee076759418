/** One switch from a format's name to its renderer. The room's other doors: buildReport, decideVerdict, formatTable. */
import type { BuiltReport } from './build.ts'
import type { TextOptions } from './text.ts'

export const REPORT_FORMATS = ['text', 'json', 'markdown', 'html', 'nagios'] as const
export type ReportFormat = (typeof REPORT_FORMATS)[number]

/**
 * The whole document in `format`, ending in a newline. `options` matter to `text` alone: whatever is not for a
 * terminal looks the same everywhere.
 */
export async function render(report: BuiltReport, format: ReportFormat, options: TextOptions = {}): Promise<string> {
  switch (format) {
    case 'text':
      return (await import('./text.ts')).renderText(report, options)
    case 'json':
      return (await import('./json.ts')).renderJson(report)
    case 'markdown':
      return (await import('./markdown.ts')).renderMarkdown(report)
    case 'html':
      return (await import('./html.ts')).renderHtml(report)
    case 'nagios':
      return (await import('./nagios.ts')).renderNagios(report)
  }
}
