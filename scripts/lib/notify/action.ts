/** The actions `notify.flush` and `notify.test`. Both tell people something, so a dry run must not do it: they are changes. */
import { z } from 'zod'
import type { ActionContext, ChangeAction } from '../action/types.ts'
import { NOTIFY_SEVERITIES } from '../config/notify-words.ts'
import { formatDuration } from '../core/duration.ts'
import { OpsError } from '../core/errors.ts'
import type { Plan } from '../plan/types.ts'
import { flush, type FlushOptions, type FlushResult } from './flush.ts'
import { countOutbox, reviveDead } from './outbox.ts'
import { testChannel, type TestResult } from './test-channel.ts'

const flushParams = z.strictObject({
  /** Names of channels; empty: all of them. */
  channels: z.array(z.string()).default([]),
  /** What was given up gets another chance. */
  retryDead: z.boolean().default(false),
  /** Milliseconds to wait for what can only be sent later. */
  waitMs: z.number().min(0).default(0),
  /** Milliseconds for everything that can be sent at once. */
  deadlineMs: z.number().positive().default(60_000),
})

export type FlushParams = z.output<typeof flushParams>

const testParams = z.strictObject({
  channel: z.string(),
  severity: z.enum(NOTIFY_SEVERITIES).default('warning'),
})

export type TestParams = z.output<typeof testParams>

export interface NotifyActionOptions<T> {
  /** Told of what came of it. */
  readonly onResult?: (result: T) => void
  readonly print?: FlushOptions['print']
}

/** Beyond the deadlines within, for opening and closing. */
const SLACK_MS = 60_000

export function createFlushAction(options: NotifyActionOptions<FlushResult> = {}): ChangeAction<FlushParams> {
  return {
    name: 'notify.flush',
    summary: 'Sends what waits in the outbox of notifications',
    params: flushParams,
    changes: true,
    // Each channel can be flushed on its own; messages have claims of their own beneath.
    lease: ({ channels }) => `notify.flush:${[...channels].sort().join(',') || 'all'}`,
    plan: async (context, params) => planFlush(context, params, options),
  }
}

export function createTestAction(options: NotifyActionOptions<TestResult> = {}): ChangeAction<TestParams> {
  return {
    name: 'notify.test',
    summary: 'Sends a test over one channel and says what the far side answered',
    params: testParams,
    changes: true,
    lease: ({ channel }) => `notify.test:${channel}`,
    plan: async (context, params) => planTest(context, params, options),
  }
}

function planFlush(context: ActionContext, params: FlushParams, options: NotifyActionOptions<FlushResult>): Plan {
  const { channels, retryDead, waitMs, deadlineMs } = params
  const waiting = countOutbox(context.journal).filter(
    ({ channel, state }) =>
      (state === 'waiting' || (retryDead && state === 'dead')) && (channels.length === 0 || channels.includes(channel)),
  )
  const counts = waiting.map(({ channel, state, count }) => `${count} ${state} to ${channel}`).join(', ')
  if (waiting.length === 0) return { title: 'Send notifications', because: 'nothing waits in the outbox', steps: [] }
  return {
    title: 'Send notifications',
    because: `the outbox holds ${counts}`,
    steps: [
      {
        on: 'localhost',
        title: `Send what is due of ${counts}`,
        timeoutMs: waitMs + deadlineMs + SLACK_MS,
        async apply(_host, signal) {
          if (retryDead) reviveDead(context.journal, context.clock.now())
          const result = await flushAndWait({ ...context, signal }, params, options.print)
          options.onResult?.(result)
          refuseUndelivered(result)
        },
      },
    ],
  }
}

/** Flushes again when something becomes due, until nothing waits or the time is up. */
async function flushAndWait(
  context: ActionContext,
  { channels, waitMs, deadlineMs }: FlushParams,
  print: FlushOptions['print'],
): Promise<FlushResult> {
  const { clock, signal } = context
  const until = clock.monotonic() + waitMs
  const flushing = { deadlineMs, ...(channels.length > 0 && { channels }), ...(print && { print }) }
  let total = await flush(context, flushing)
  for (;;) {
    const leftMs = until - clock.monotonic()
    const delayMs = total.nextDueAt === undefined ? Infinity : Math.max(MIN_PAUSE_MS, total.nextDueAt - clock.now())
    if (delayMs > leftMs) return total
    await clock.sleep(delayMs, signal)
    total = add(total, await flush(context, flushing))
  }
}

/** A message of another process that is under way is due all the time. */
const MIN_PAUSE_MS = 200

/** Sums of both; what is failing is what failed last. */
function add(before: FlushResult, { channels, ...last }: FlushResult): FlushResult {
  const sent = before.sent + last.sent
  return {
    ...last,
    sent,
    dead: before.dead + last.dead,
    channels: channels.map((channel, index) => {
      const earlier = before.channels[index]
      const answer = channel.answer ?? earlier?.answer
      return {
        ...channel,
        sent: channel.sent + (earlier?.sent ?? 0),
        dead: channel.dead + (earlier?.dead ?? 0),
        ...(answer !== undefined && { answer }),
      }
    }),
  }
}

function refuseUndelivered({ undelivered, channels }: FlushResult): void {
  if (undelivered.length === 0) return
  const said = channels.flatMap(({ channel, answer }) => (answer === undefined ? [] : [`${channel}: ${answer}`]))
  throw new OpsError(
    'UNREACHABLE',
    `NOBODY HAS BEEN TOLD of ${undelivered.length} alert(s), every channel failed (${said.join('; ')})`,
    {
      transient: true,
      hint: 'Look at each channel: npx zx scripts/notify.ts test --channel NAME',
    },
  )
}

function planTest(
  context: ActionContext,
  params: TestParams,
  { onResult, print }: NotifyActionOptions<TestResult>,
): Plan {
  let result: TestResult | undefined
  return {
    title: `Test the channel ${params.channel}`,
    because: 'somebody wants to know whether it works',
    steps: [
      {
        on: 'localhost',
        title: `Send a test over ${params.channel}`,
        async apply(_host, signal) {
          result = await testChannel({ ...context, signal }, { ...params, ...(print && { print }) })
          onResult?.(result)
        },
        verify: async () => ({
          ok: result !== undefined,
          because: result
            ? `the far side answered in ${formatDuration(result.durationMs)}: ${result.answer}`
            : 'no answer',
        }),
      },
    ],
  }
}
