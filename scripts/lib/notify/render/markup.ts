/** Text made inert for what chat services read in it: links, mentions, headings. */

/** Markdown as DingTalk and Teams read it: every character that could begin something gets a backslash. */
export function escapeMarkdown(text: string): string {
  return text.replace(/[\\`*_{}[\]()#+!|<>~-]/g, (char) => `\\${char}`)
}

/** Slack reads only these three (api.slack.com, "Escaping text"): without them there is no link and no <!channel>. */
export function escapeSlack(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** Feishu reads `<at user_id="all">` in plain text. */
export function escapeFeishu(text: string): string {
  return text.replace(/<(?=\s*\/?\s*at\b)/gi, '‹')
}
