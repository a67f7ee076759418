/**
 * A secret that cannot be printed: every way of turning it into text gives `[REDACTED]`; only `reveal()` gives the value.
 */
import { inspect } from 'node:util'

export const REDACTED = '[REDACTED]'

export class Secret {
  readonly #value: string
  /** Where it came from (`env:DB_PASSWORD`, `file:/etc/opskit/db.pass`): safe to show. */
  readonly source: string

  constructor(value: string, source: string) {
    this.#value = value
    this.source = source
  }

  /** The value itself. Call it only where it is handed to the thing that needs it. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return REDACTED
  }

  toJSON(): string {
    return REDACTED
  }

  [Symbol.toPrimitive](): string {
    return REDACTED
  }

  [inspect.custom](): string {
    return `Secret(${this.source})`
  }
}
