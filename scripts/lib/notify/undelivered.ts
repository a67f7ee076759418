/** The worst case: something is wrong, every channel was tried, and none has taken it. Said as loudly as can be. */
import type { Journal } from '../journal/types.ts'
import type { StoredMessage } from './outbox.ts'

export interface Undelivered {
  readonly alert: string
  readonly title: string
  /** Each channel with what it answered. */
  readonly channels: readonly { readonly channel: string; readonly answer: string }[]
}

/**
 * @param failed the messages that were tried just now and not taken
 * @returns the alerts of which nobody has been told: no channel took the message and none is still to be tried for the first time
 */
export function recordUndelivered(journal: Journal, failed: readonly StoredMessage[]): Undelivered[] {
  const notices = new Map(failed.map((message) => [noticeOf(message), message]))
  const found = [...notices].flatMap(([notice, message]) => {
    const channels = readUntold(journal, notice)
    return channels.length === 0 ? [] : [{ alert: message.key, title: message.title, channels }]
  })
  if (found.length > 0) {
    const titles = found.slice(0, 5).map(({ title }) => `"${title}"`)
    const more = found.length > titles.length ? ` and ${found.length - titles.length} more` : ''
    journal.record({
      kind: 'notify.undelivered',
      result: 'failed',
      message: `NOBODY HAS BEEN TOLD, every channel failed: ${titles.join(', ')}${more}`,
      details: { alerts: found.slice(0, 100), count: found.length },
    })
  }
  return found
}

/** Empty when one channel has it, or one was not tried yet. */
function readUntold({ sql }: Journal, notice: string): Undelivered['channels'] {
  const rows = sql.all('SELECT channel, state, attempts, answer FROM notify_outbox WHERE notice = ?', notice)
  const isTold = rows.some(({ state }) => state === 'sent' || state === 'closed')
  const isUntried = rows.some(({ state, attempts }) => state === 'waiting' && Number(attempts) === 0)
  if (isTold || isUntried) return []
  return rows.map(({ channel, answer }) => ({ channel: String(channel), answer: String(answer ?? '') }))
}

/** The id of a message is that of its notice and the name of its channel. */
function noticeOf({ id, channel }: StoredMessage): string {
  return id.slice(0, -(channel.length + 1))
}
