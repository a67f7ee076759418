/** A message as a mail: subject, text and HTML from templates/mail/, and headers that let a mailbox file it. */
import { readFileSync } from 'node:fs'
import { cutChars } from '../bounds.ts'
import type { Message } from '../types.ts'
import { fieldsOf } from './fields.ts'
import { compileTemplate, escapeHtml } from './template.ts'

const TEXT = new URL('../../../../templates/mail/alert.txt', import.meta.url)
const HTML = new URL('../../../../templates/mail/alert.html', import.meta.url)

/** Shown whole by most mailboxes; RFC 5322 2.1.1 allows 998 bytes a line. */
const MAX_SUBJECT_CHARS = 180

export interface MailText {
  readonly subject: string
  readonly text: string
  readonly html: string
}

export type RenderMail = (message: Message) => MailText

/** Reads the templates once. */
export function openMailTemplates(): RenderMail {
  const text = compileTemplate(readFileSync(TEXT, 'utf8'), (value) => value)
  const html = compileTemplate(readFileSync(HTML, 'utf8'), escapeHtml)
  return (message) => {
    const fields = fieldsOf(message)
    return {
      subject: cutChars(fields.summary, MAX_SUBJECT_CHARS),
      text: text(fields),
      html: html(fields),
    }
  }
}
