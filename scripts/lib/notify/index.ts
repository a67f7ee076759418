/** Telling people: alerts in, messages out, exactly once as far as the far side allows it. */
export { acknowledgeAlert, readOpenAlerts, type OpenAlert } from './alerts.ts'
export { readNextDue } from './claim.ts'
export { DeliveryError } from './delivery-error.ts'
export {
  enqueue,
  enqueueRecovery,
  escalate,
  type Enqueued,
  type EnqueueOptions,
  type NotifyingConfig,
} from './enqueue.ts'
export { flush, type ChannelResult, type FlushContext, type FlushOptions, type FlushResult } from './flush.ts'
export {
  countOutbox,
  readOutbox,
  reviveDead,
  type MessageState,
  type OutboxQuery,
  type StoredMessage,
} from './outbox.ts'
export {
  enqueueOutcome,
  notifyOutcome,
  notifyOutcomes,
  type Notified,
  type NotifyWhen,
  type Outcome,
} from './outcome.ts'
export { testChannel, type TestResult } from './test-channel.ts'
export type * from './types.ts'
export type { Undelivered } from './undelivered.ts'
