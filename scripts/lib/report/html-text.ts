/** Words inside a page: severities, and outside text that keeps its direction to itself and says when it is Chinese. */
import { html, type Markup } from './markup.ts'
import { SYMBOL_OF } from './severity.ts'
import type { Severity } from './types.ts'

export const WORD_OF: Readonly<Record<Severity, string>> = {
  critical: 'Critical',
  warning: 'Warning',
  unknown: 'Unknown',
  ok: 'OK',
  skipped: 'Skipped',
}

/** Escaped, isolated for bidirectional layout, `lang="zh"` where it holds Han characters and no kana or hangul. */
export function say(text: string): Markup {
  const chinese =
    /\p{Script=Han}/u.test(text) && !/[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u.test(text)
  return chinese ? html`<bdi lang="zh">${text}</bdi>` : html`<bdi>${text}</bdi>`
}

/** A severity as symbol, word and colour. */
export function pillOf(severity: Severity): Markup {
  return html`<span class="pill tint ${severity}"
    ><span aria-hidden="true">${SYMBOL_OF[severity]}</span> ${WORD_OF[severity]}</span
  >`
}
