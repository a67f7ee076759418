/**
 * What a breaker, a time limit and a whole failover cost per call, beside cockatiel and opossum in the same run.
 * `node_modules/.bin/node test/bench/failover.ts`. Figures are processor time, not wall time, and rounds of all variants take
 * turns, so that a busy machine disturbs little and all of them alike; each figure is the median of the rounds and contains
 * the operation itself (an async function that returns).
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import {
  circuitBreaker,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleAll,
  retry,
  timeout,
  TimeoutStrategy,
  wrap,
} from 'cockatiel'
import CircuitBreaker from 'opossum'
import { createBreaker, createFailover, parseInstance } from '../../scripts/lib/resilience/index.ts'
import { printRows } from './print.ts'
import { median, rowOf, type BenchRow } from './types.ts'

const ROUNDS = 15
const CALLS = 20_000
const TIMEOUT_MS = 10_000

const operation = async () => 1

interface Variant {
  readonly name: string
  readonly call: () => unknown
  readonly close?: () => void
}

/** Nanoseconds per call of each variant, in the same order. */
async function measure(variants: readonly Variant[]): Promise<number[]> {
  const rounds = variants.map((): number[] => [])
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [i, { call }] of variants.entries()) {
      const started = process.cpuUsage()
      for (let n = 0; n < CALLS; n += 1) await call()
      const { user, system } = process.cpuUsage(started)
      // The first round only warms up.
      if (round > 0) rounds[i]?.push(((user + system) / CALLS) * 1_000)
    }
  }
  for (const { close } of variants) close?.()
  return rounds.map(median)
}

async function quietly(call: () => unknown): Promise<void> {
  try {
    await call()
  } catch {
    // Being refused is what is measured.
  }
}

function cockatielBreaker() {
  return circuitBreaker(handleAll, { halfOpenAfter: 60_000, breaker: new ConsecutiveBreaker(5) })
}

function cockatielTimed(): Variant {
  const policy = wrap(cockatielBreaker(), timeout(TIMEOUT_MS, TimeoutStrategy.Aggressive))
  return { name: 'cockatiel', call: () => policy.execute(operation) }
}

function opossum(timeoutMs: number | false): Variant {
  const breaker = new CircuitBreaker(operation, { timeout: timeoutMs })
  return { name: 'opossum', call: () => breaker.fire(), close: () => breaker.shutdown() }
}

/** Rejected calls: each of the three is open before it is measured. */
async function openVariants(): Promise<Variant[]> {
  const ours = createBreaker()
  ours.trip('bench')
  const theirs = cockatielBreaker()
  theirs.isolate()
  const other = new CircuitBreaker(operation)
  other.open()
  return [
    { name: 'ours', call: () => quietly(() => ours.run(operation)) },
    { name: 'cockatiel', call: () => quietly(() => theirs.execute(operation)) },
    { name: 'opossum', call: () => quietly(() => other.fire()), close: () => other.shutdown() },
  ]
}

function rowsOf(name: string, variants: readonly Variant[], figures: readonly number[], target: number): BenchRow[] {
  const [ours = Number.NaN, ...peers] = figures
  return peers.map((peer, i) =>
    rowOf({ name, ours, peer, peerName: variants[i + 1]?.name ?? '', unit: 'ns/call', target }),
  )
}

async function compare(what: string, variants: readonly Variant[], target: number): Promise<BenchRow[]> {
  return rowsOf(what, variants, await measure(variants), target)
}

/** What is worth knowing but has no target: rates, and a whole failover over three instances. */
async function measureOthers(): Promise<BenchRow[]> {
  const byRate = createBreaker({ failureRate: 0.5, slowRate: 0.5, slowCallMs: 1_000 })
  const failover = createFailover()
  const instances = ['a:1', 'b:1', 'c:1'].map(parseInstance)
  const wrapped = wrap(
    retry(handleAll, { maxAttempts: 3, backoff: new ExponentialBackoff() }),
    cockatielBreaker(),
    timeout(TIMEOUT_MS, TimeoutStrategy.Aggressive),
  )
  const [bare = NaN, rate = NaN, whole = NaN, theirs = NaN] = await measure([
    { name: 'bare', call: operation },
    { name: 'rate', call: () => byRate.run(operation) },
    { name: 'whole', call: () => failover.execute(instances, operation) },
    { name: 'cockatiel', call: () => wrapped.execute(operation) },
  ])
  const unit = 'ns/call'
  return [
    rowOf({ name: 'bare async call', ours: bare, unit }),
    rowOf({ name: 'closed breaker that counts failed and slow calls', ours: rate, unit }),
    rowOf({
      name: 'whole failover over 3 instances',
      ours: whole,
      peer: theirs,
      peerName: 'cockatiel: retry, breaker and timeout over one',
      unit,
    }),
  ]
}

const HEAP_CALLS = 1_000_000
// The engine's own noise: compiled code, inline caches, a slot of the metrics.
const HEAP_TARGET_KIB = 512

/** Heap after a million calls less the heap after the first ten thousand. */
async function measureHeap(): Promise<BenchRow> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const failover = createFailover()
  const instances = ['a:1', 'b:1', 'c:1'].map(parseInstance)
  const heapAfter = async (calls: number) => {
    for (let n = 0; n < calls; n += 1) await failover.execute(instances, operation)
    collect()
    return process.memoryUsage().heapUsed
  }
  const before = await heapAfter(10_000)
  const grownKib = Math.round(((await heapAfter(HEAP_CALLS)) - before) / 1024)
  return rowOf({
    name: 'heap grown over a million failover calls',
    ours: grownKib,
    unit: 'KiB',
    target: HEAP_TARGET_KIB,
  })
}

export async function bench(): Promise<BenchRow[]> {
  const closed = createBreaker()
  const timed = createBreaker({ timeoutMs: TIMEOUT_MS })
  const policy = cockatielBreaker()
  return [
    ...(await compare(
      'closed breaker',
      [
        { name: 'ours', call: () => closed.run(operation) },
        { name: 'cockatiel', call: () => policy.execute(operation) },
        opossum(false),
      ],
      500,
    )),
    ...(await compare('rejected by an open breaker', await openVariants(), 1_000)),
    ...(await compare(
      'breaker with a time limit',
      [{ name: 'ours', call: () => timed.run(operation) }, cockatielTimed(), opossum(TIMEOUT_MS)],
      1_500,
    )),
    ...(await measureOthers()),
    await measureHeap(),
  ]
}

if (import.meta.main) printRows(await bench())
