/** One message over one channel, past the outbox, for the answer of the far side. */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { OpsError } from '../core/errors.ts'
import { openChannel } from './channels/open.ts'
import { printLine, type FlushContext } from './flush.ts'
import type { Message, Severity } from './types.ts'

export interface TestOptions {
  readonly channel: string
  readonly severity: Severity
  readonly print?: (line: string) => void
}

export interface TestResult {
  readonly id: string
  /** What the far side said, redacted. */
  readonly answer: string
  readonly durationMs: number
}

/**
 * Every server of the channel is tried as if nothing were known of it; quiet hours, severities and rates are not asked.
 * @throws OpsError USAGE for an unknown channel, DeliveryError with the answer of the far side
 */
export async function testChannel(
  context: FlushContext,
  { channel: name, severity, print = printLine }: TestOptions,
): Promise<TestResult> {
  const { config, clock, signal, resolveSecret, redact } = context
  const channel = config.notify.channels[name]
  if (!channel) {
    const known = Object.keys(config.notify.channels).join(', ')
    throw new OpsError('USAGE', `there is no channel "${name}"`, {
      hint: known ? `Configured: ${known}.` : 'Add one under notify.channels.',
    })
  }
  const startedAt = clock.monotonic()
  const message = createTestMessage(config.name ?? hostname(), { channel: name, severity, now: clock.now() })
  const opened = await openChannel(channel, { name, clock, journal: undefined, resolveSecret, print })
  try {
    const { answer, later = [] } = await opened.send(message, { signal })
    const partly = later.length === 0 ? '' : `; still to be told: ${later.join(', ')}`
    return { id: message.id, answer: redact(`${answer}${partly}`), durationMs: clock.monotonic() - startedAt }
  } catch (error) {
    throw redacted(error, redact)
  } finally {
    await opened.close()
  }
}

/** The far side may have sent back what it was sent. */
function redacted(error: unknown, redact: (text: string) => string): unknown {
  if (!(error instanceof OpsError)) return error
  return new OpsError(error.code, redact(error.message), { ...error.details })
}

function createTestMessage(
  source: string,
  { channel, severity, now }: { channel: string; severity: Severity; now: number },
): Message {
  const mark = randomBytes(6).toString('hex')
  return {
    id: `test-${mark}.${channel}`,
    thread: `test-${mark}`,
    kind: 'test',
    severity,
    key: 'test',
    title: `This is a test of the channel ${channel}`,
    text: 'Nothing is wrong. If you can read this, notifications reach you.',
    tags: [],
    details: [],
    source,
    openedAt: now,
    count: 1,
    firstAt: now,
    lastAt: now,
    attempt: 1,
  }
}
