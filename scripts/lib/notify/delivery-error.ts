/** Why a message was not taken, with what has to be known to decide what happens next. */
import { OpsError } from '../core/errors.ts'

export interface DeliveryFacts {
  /** The same message may be taken later. */
  readonly transient: boolean
  /** `channel`: others will meet the same; `message`: it is this one. */
  readonly scope: 'channel' | 'message'
  /** How long the far side wants to be left alone. */
  readonly retryAfterMs?: number
  readonly hint?: string
  readonly cause?: unknown
}

/** The message is the far side's own answer where it gave one. */
export class DeliveryError extends OpsError {
  readonly transient: boolean
  readonly scope: 'channel' | 'message'
  readonly retryAfterMs: number | undefined

  constructor(answer: string, { transient, scope, retryAfterMs, hint, cause }: DeliveryFacts) {
    super(scope === 'channel' && transient ? 'UNREACHABLE' : 'FAILED', answer, {
      transient,
      ...(hint !== undefined && { hint }),
      ...(cause !== undefined && { cause }),
    })
    this.transient = transient
    this.scope = scope
    this.retryAfterMs = retryAfterMs
  }

  /** The same in other words: without a secret, with the names of servers. What caused it stays behind. */
  withMessage(answer: string, facts: Partial<DeliveryFacts> = {}): DeliveryError {
    const { transient, scope, retryAfterMs, details } = this
    return new DeliveryError(answer, {
      transient,
      scope,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      ...(details.hint !== undefined && { hint: details.hint }),
      ...facts,
    })
  }
}
