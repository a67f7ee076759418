/**
 * Whether an answer over HTTP means that the message was taken. The status is not enough: several services answer 200 and
 * say in the body that it failed. Pure.
 */
import { printableLine } from '../../core/printable.ts'
import { DeliveryError } from '../delivery-error.ts'
import type { HttpAnswer } from './http.ts'

/** What a service says in its body. */
export type BodyVerdict =
  | { readonly ok: true }
  /** `busy`: it takes no messages now. */
  | { readonly ok: false; readonly why: 'busy' | 'channel' | 'message'; readonly hint?: string }

export type JudgeBody = (body: string) => BodyVerdict

const MAX_SHOWN_CHARS = 300
/** When a far side that is too busy does not say for how long (RFC 6585 4: it may, but need not). */
const DEFAULT_HOLD_MS = 60_000

/**
 * @param now wall clock, for a Retry-After that is a date
 * @returns the answer in one line
 * @throws DeliveryError
 */
export function judgeAnswer(answer: HttpAnswer, judgeBody: JudgeBody, now: number): string {
  const { status, body } = answer
  const shown = `status ${status}${body.trim() === '' ? '' : `: ${printableLine(body, MAX_SHOWN_CHARS)}`}`
  if (status < 200 || status > 299) throw statusError(answer, shown, now)
  const verdict = judgeBody(body)
  if (verdict.ok) return shown
  const { why, hint } = verdict
  throw new DeliveryError(`refused with ${shown}`, {
    transient: why === 'busy',
    scope: why === 'message' ? 'message' : 'channel',
    ...(why === 'busy' && { retryAfterMs: DEFAULT_HOLD_MS }),
    ...(hint !== undefined && { hint }),
  })
}

function statusError({ status, headers }: HttpAnswer, shown: string, now: number): DeliveryError {
  const retryAfterMs = parseRetryAfter(headers['retry-after'], now)
  if (status === 429) {
    return new DeliveryError(shown, {
      transient: true,
      scope: 'channel',
      retryAfterMs: retryAfterMs ?? DEFAULT_HOLD_MS,
    })
  }
  const transient = status === 408 || status === 425 || (status >= 500 && status !== 501 && status !== 505)
  const scope = transient || [401, 403, 404, 405, 407, 410].includes(status) ? 'channel' : 'message'
  return new DeliveryError(shown, {
    transient,
    scope,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(!transient && scope === 'channel' && { hint: 'Check the address and the credentials of this channel.' }),
  })
}

/** Seconds, or a date (RFC 9110 10.2.3). @returns milliseconds from now; undefined when there is none or it is neither */
export function parseRetryAfter(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text.trim())) return Number(text) * 1_000
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : Math.max(0, at - now)
}

/** The members of a JSON object; undefined when it is none. */
export function parseObject(body: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

export interface CodeRules {
  /** Members that hold the code; the first that is there counts. */
  readonly fields: readonly string[]
  /** Codes that say: later. */
  readonly busy: readonly number[]
  /** Codes that say: this channel is set up wrongly, and what to do about it. */
  readonly hints?: Readonly<Record<number, string>>
}

/** For services whose body has a code that is 0 when all is well. A body without one is no answer of theirs. */
export function judgeByCode({ fields, busy, hints = {} }: CodeRules): JudgeBody {
  return (body) => {
    const object = parseObject(body)
    const code = fields.map((field) => object?.[field]).find((value) => value !== undefined)
    if (code === 0) return { ok: true }
    if (typeof code !== 'number')
      return { ok: false, why: 'channel', hint: 'That is no answer of this service: check the address.' }
    if (busy.includes(code)) return { ok: false, why: 'busy' }
    const hint = hints[code]
    return hint === undefined ? { ok: false, why: 'message' } : { ok: false, why: 'channel', hint }
  }
}
