/**
 * Node's HTTP over a stream that a Host opens. A file of its own, loaded when an engine is there: importing node:http
 * costs 50 ms, because naming all its exports loads Node's whole fetch implementation.
 */
import { Agent } from 'node:http'
import type { Duplex } from 'node:stream'
import { inspect } from 'node:util'

export class SocketAgent extends Agent {
  readonly #open: () => Promise<Duplex>

  constructor(open: () => Promise<Duplex>) {
    super({ keepAlive: false })
    this.#open = open
  }

  /** The client library prints every request for a debug log nobody reads, with all that hangs on the agent: seconds. */
  [inspect.custom](): string {
    return 'SocketAgent'
  }

  override createConnection(_options: unknown, callback: (error: Error | null, stream: Duplex) => void): undefined {
    this.#open().then(
      (stream) => callback(null, stream),
      (error: Error) => callback(error, undefined as never),
    )
  }
}
