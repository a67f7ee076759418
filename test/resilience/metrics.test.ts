import { describe, expect, it } from 'vitest'
import { createMetrics, formatPrometheus } from '../../scripts/lib/resilience/index.ts'

/** A strict reader of the text format: every sample belongs to a declared family, every label is unescaped. */
function parse(text: string) {
  const types = new Map<string, string>()
  const samples = new Map<string, number>()
  expect(text.endsWith('\n')).toBe(true)
  for (const line of text.split('\n').slice(0, -1)) {
    const declared = /^# (HELP|TYPE) ([a-z_]+) (.+)$/.exec(line)
    if (declared?.[1] === 'TYPE') types.set(declared[2] ?? '', declared[3] ?? '')
    if (declared) continue
    const match = /^([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (\S+)$/.exec(line)
    expect(match, line).not.toBeNull()
    const [, name = '', labels = '', value] = match ?? []
    expect(types.has(name) || types.get(name.replace(/_(bucket|sum|count)$/, '')) === 'histogram', line).toBe(true)
    samples.set(labels === '' ? name : `${name}{${labels}}`, Number(value))
  }
  return { types, samples }
}

describe('metrics', () => {
  it('count per service and per instance', () => {
    const metrics = createMetrics()
    metrics.incrementRetries('users')
    metrics.incrementRetries('users')
    metrics.incrementRetries('orders')
    metrics.incrementFailovers('users', 'a', 'b')
    metrics.recordDetection('a', 'unhealthy')
    metrics.recordBreaker('a', 'open')
    metrics.recordBreaker('a', 'open')
    expect([metrics.retryCount('users'), metrics.retryCount('orders'), metrics.retryCount('none')]).toEqual([2, 1, 0])
    expect(metrics.failoverCount('users')).toBe(1)
    expect(metrics.detectionStats('a')).toEqual({ unhealthy: 1 })
    expect(metrics.breakerStats('a')).toEqual({ open: 2 })
  })

  it('make the average of the newest samples only, and keep no more of them', () => {
    const metrics = createMetrics(3)
    expect(metrics.averageLatencyMs('a')).toBeUndefined()
    for (const ms of [1_000, 1, 2, 3]) metrics.recordLatency('a', ms)
    expect(metrics.averageLatencyMs('a')).toBe(2)
    expect(metrics.data().latencies[0]).toMatchObject({ count: 4, sumMs: 1_006, samplesMs: [1, 2, 3] })
  })

  it('stop growing when the labels never end', () => {
    const metrics = createMetrics()
    for (let i = 0; i < 30_000; i += 1) {
      metrics.incrementFailovers('users', `a${i}`, `b${i}`)
      metrics.recordLatency(`a${i}`, 1)
    }
    expect(metrics.data().counters.length).toBeLessThanOrEqual(10_000)
    expect(metrics.data().latencies.length).toBeLessThanOrEqual(10_000)
  })

  it('forget an instance with everything that names it', () => {
    const metrics = createMetrics()
    for (const id of ['a', 'b']) {
      metrics.recordAttempt(id, 'success')
      metrics.recordLatency(id, 1)
      metrics.incrementFailovers('a', id, 'c')
    }
    metrics.forget('a')
    expect(metrics.data().counters.map(({ name, labels }) => [name, labels])).toEqual([
      ['attempts', { instance: 'b', outcome: 'success' }],
      ['failovers', { service: 'a', from: 'b', to: 'c' }],
    ])
    expect(metrics.data().latencies.map(({ instance }) => instance)).toEqual(['b'])
  })

  it('go on counting after they were saved and restored', () => {
    const first = createMetrics(2)
    first.incrementRetries('users')
    for (const ms of [1, 2, 3]) first.recordLatency('a', ms)
    const second = createMetrics(2)
    second.restore(JSON.parse(JSON.stringify(first.data())))
    second.incrementRetries('users')
    second.recordLatency('a', 10)
    expect(second.retryCount('users')).toBe(2)
    expect(second.data().latencies[0]).toMatchObject({ count: 4, sumMs: 16, samplesMs: [3, 10] })
  })

  it.each<[string, unknown]>([
    ['metrics is not an object', 1],
    ['counters is not a list', {}],
    ['name is not one of', { counters: [{ name: 'x' }], latencies: [] }],
    ['value is not a number', { counters: [{ name: 'retries', labels: { service: 'a' }, value: -1 }], latencies: [] }],
    ['buckets is not a list', { counters: [], latencies: [{}] }],
  ])('are not restored where %s', (message, data) => {
    const metrics = createMetrics()
    metrics.incrementRetries('users')
    expect(() => metrics.restore(data)).toThrow(message)
    expect(metrics.retryCount('users')).toBe(1)
  })
})

describe('the Prometheus text', () => {
  it('declares each family once, counts cumulatively, and escapes labels', () => {
    const metrics = createMetrics()
    const id = 'a "quoted"\\path\nnext'
    metrics.recordAttempt(id, 'success')
    for (const ms of [0.5, 30, 99_999]) metrics.recordLatency(id, ms)
    const text = formatPrometheus(metrics.data(), [
      { instance: 'b', breaker: 'half-open', health: 'suspect', inFlight: 2 },
    ])
    const { types, samples } = parse(text)
    expect(Object.fromEntries(types)).toEqual({
      opskit_failover_attempts_total: 'counter',
      opskit_failover_attempt_duration_seconds: 'histogram',
      opskit_failover_breaker_state: 'gauge',
      opskit_failover_instance_health: 'gauge',
      opskit_failover_in_flight: 'gauge',
    })
    const label = 'instance="a \\"quoted\\"\\\\path\\nnext"'
    const at = (le: string) => samples.get(`opskit_failover_attempt_duration_seconds_bucket{${label},le="${le}"}`)
    expect([at('0.001'), at('0.025'), at('0.05'), at('30'), at('+Inf')]).toEqual([1, 1, 2, 2, 3])
    expect(samples.get(`opskit_failover_attempt_duration_seconds_sum{${label}}`)).toBeCloseTo(100.0295)
    expect(samples.get('opskit_failover_breaker_state{instance="b",state="half-open"}')).toBe(1)
    expect(samples.get('opskit_failover_breaker_state{instance="b",state="open"}')).toBe(0)
    expect(samples.get('opskit_failover_instance_health{instance="b",state="suspect"}')).toBe(1)
    expect(samples.get('opskit_failover_in_flight{instance="b"}')).toBe(2)
  })

  it('is empty when nothing was counted', () => {
    expect(formatPrometheus(createMetrics().data())).toBe('')
  })
})
