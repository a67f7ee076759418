/** The small decisions, as tables: error classes, retries, backoff, budget, selection, addresses. */
import { describe, expect, it } from 'vitest'
import { OpsError } from '../../scripts/lib/core/errors.ts'
import {
  classifyError,
  createRetryBudget,
  createRetryPolicy,
  decideRetry,
  hostPortOf,
  matchesError,
  parseInstance,
  selectInstance,
  wasNeverSent,
  type RetryFacts,
  type RetryOptions,
  type Selection,
} from '../../scripts/lib/resilience/index.ts'

const coded = (code: string, message = code, cause?: unknown) => Object.assign(new Error(message, { cause }), { code })

describe('an error matches', () => {
  it.each<[string, unknown, string | RegExp, boolean]>([
    ['text in the message, whatever its case', new Error('Connection Refused by peer'), 'connection refused', true],
    ['a code', coded('ETIMEDOUT', 'oops'), 'etimedout', true],
    ['a name', new DOMException('late', 'TimeoutError'), 'timeout', true],
    ['a cause', new TypeError('fetch failed', { cause: coded('ECONNRESET', 'x') }), 'ECONNRESET', true],
    ['a pattern', new Error('HTTP 503'), /\b50[234]\b/, true],
    ['a pattern that keeps its place, twice', new Error('HTTP 503'), /50[234]/g, true],
    ['not other text', new Error('permission denied'), 'timeout', false],
    ['a thrown text', 'timeout', 'timeout', true],
    ['nothing in what is no error', { a: 1 }, 'a', false],
  ])('%s', (...[, error, matcher, expected]) => {
    expect([matchesError(error, matcher), matchesError(error, matcher)]).toEqual([expected, expected])
  })

  it('without going round in a ring of causes', () => {
    const error = new Error('a')
    error.cause = error
    expect(matchesError(error, 'b')).toBe(false)
  })
})

describe('an error is', () => {
  it.each<[string, unknown, Parameters<typeof classifyError>[1], string]>([
    ['transient when nothing says otherwise', new Error('x'), {}, 'transient'],
    ['an answer when the program itself is wrong', new ReferenceError('x is not defined'), {}, 'answer'],
    ['transient when fetch failed, though that is a TypeError', new TypeError('fetch failed'), {}, 'transient'],
    ['permanent when it says so itself', new OpsError('NOT_PERMITTED', 'no', { transient: false }), {}, 'permanent'],
    ['transient when it is in the list', new Error('read timeout'), { retryableErrors: ['timeout'] }, 'transient'],
    [
      'permanent when there is a list and it is not in it',
      new Error('denied'),
      { retryableErrors: ['timeout'] },
      'permanent',
    ],
    [
      'what the caller says, before the list',
      new Error('timeout'),
      { classify: () => 'answer', retryableErrors: ['timeout'] },
      'answer',
    ],
    [
      'by the list when the caller does not know',
      new Error('timeout'),
      { classify: () => undefined, retryableErrors: ['timeout'] },
      'transient',
    ],
  ])('%s', (...[, error, rules, expected]) => {
    expect(classifyError(error, rules)).toBe(expected)
  })
})

describe('the server never saw the request', () => {
  it.each<[string, unknown, boolean]>([
    ['when the connection was refused', coded('ECONNREFUSED'), true],
    ['when every address refused', new AggregateError([coded('ECONNREFUSED'), coded('ENETUNREACH')]), true],
    ['when fetch says why in its cause', new TypeError('fetch failed', { cause: coded('ECONNREFUSED') }), true],
    ['when the error says so', Object.assign(new Error('pool is full'), { notSent: true }), true],
    ['but not when the connection was reset', coded('ECONNRESET'), false],
    [
      'but not when one address may have been reached',
      new AggregateError([coded('ECONNREFUSED'), coded('ECONNRESET')]),
      false,
    ],
    ['but not when nothing is known', new Error('refused'), false],
  ])('%s', (...[, error, expected]) => {
    expect(wasNeverSent(error)).toBe(expected)
  })
})

describe('another try', () => {
  const policy = createRetryPolicy({ maxRetries: 2 })
  const facts: RetryFacts = {
    policy,
    attempts: 1,
    error: new Error('x'),
    errorClass: 'transient',
    idempotent: true,
    neverSent: false,
    budgetLeft: true,
  }
  it.each<[Partial<RetryFacts>, boolean, string]>([
    [{}, true, 'a transient failure'],
    [{ attempts: 2 }, true, 'a transient failure'],
    [{ attempts: 3 }, false, 'all 2 retries are used'],
    [{ policy: createRetryPolicy({ maxRetries: 0 }) }, false, 'no retries are allowed'],
    [{ errorClass: 'cancelled' }, false, 'the caller gave up'],
    [{ errorClass: 'answer' }, false, 'it is an answer, not a failure'],
    [{ errorClass: 'permanent' }, false, 'the error is not one that another try can mend'],
    [{ idempotent: false }, false, 'it may have reached the server and is not idempotent'],
    [{ idempotent: false, neverSent: true }, true, 'a transient failure'],
    [{ budgetLeft: false }, false, 'the retry budget is used up: too many calls are being retried'],
    [{ policy: { ...policy, shouldRetry: () => false } }, false, 'the retry policy says no'],
  ])('with %o: %s, because %s', (change, retry, because) => {
    expect(decideRetry({ ...facts, ...change })).toEqual({ retry, because })
  })
})

describe('the wait before a retry', () => {
  const waits = (options: RetryOptions) =>
    [1, 2, 3, 4, 5].map((attempt) => createRetryPolicy(options).backoffMs(attempt))

  it.each<[string, RetryOptions, number[]]>([
    ['is always the same', { strategy: 'simple', retryIntervalMs: 100 }, [100, 100, 100, 100, 100]],
    [
      'grows up to its cap',
      { strategy: 'exponential', retryIntervalMs: 100, backoffFactor: 3, maxBackoffMs: 2_000 },
      [100, 300, 900, 2_000, 2_000],
    ],
    [
      'is spread to its shortest',
      { strategy: 'jittered', jitterRatio: 0.2, random: () => 0 },
      [80, 160, 320, 640, 1_280],
    ],
    [
      'is spread to its longest, never over the cap',
      { jitterRatio: 0.5, maxBackoffMs: 1_000, random: () => 0.999999999 },
      [150, 300, 600, 1_000, 1_000],
    ],
  ])('%s', (...[, options, expected]) => {
    expect(waits(options).map(Math.round)).toEqual(expected)
  })

  it.each<[RetryOptions, string]>([
    [{ maxRetries: -1 }, 'maxRetries is -1'],
    [{ backoffFactor: 0.5 }, 'backoffFactor is 0.5'],
    [{ jitterRatio: 2 }, 'jitterRatio is 2'],
    [{ retryIntervalMs: 100, maxBackoffMs: 50 }, 'maxBackoffMs is 50'],
  ])('%o is refused by name', (options, message) => {
    expect(() => createRetryPolicy(options)).toThrow(message)
  })

  it('is not made for an error that is not in the list', () => {
    const policy = createRetryPolicy({ maxRetries: 3, retryableErrors: ['timeout'] })
    expect([1, 3, 4].map((attempt) => policy.shouldRetry(attempt, new Error('timeout')))).toEqual([true, true, false])
    expect(policy.shouldRetry(1, new Error('denied'))).toBe(false)
  })
})

describe('the retry budget', () => {
  it('pays one retry out of five calls, and some for nothing as time passes', () => {
    const budget = createRetryBudget({ ratio: 0.2, perSecond: 2, burst: 3 })
    expect([1, 2, 3, 4].map(() => budget.withdraw(0))).toEqual([true, true, true, false])
    for (let i = 0; i < 5; i += 1) budget.deposit()
    expect([budget.withdraw(0), budget.withdraw(0)]).toEqual([true, false])
    expect([budget.withdraw(500), budget.withdraw(500)]).toEqual([true, false])
    expect([1, 2, 3, 4].map(() => budget.withdraw(1e9))).toEqual([true, true, true, false])
  })
})

describe('selection', () => {
  const option = (index: number, facts: object = {}) => ({
    index,
    inFlight: 0,
    latencyMs: 10,
    latencyAtMs: 0,
    suspect: false,
    ...facts,
  })
  const choose = (
    selection: Selection,
    options: ReturnType<typeof option>[],
    lastIndex = -1,
    draws: number[] = [0],
  ) => {
    const random = () => draws.shift() ?? 0
    return options[selectInstance(selection, { options, lastIndex, nowMs: 0, random })]?.index
  }

  it.each<[string, number | undefined, number]>([
    ['next takes the first of the list', choose('next', [option(0), option(2)]), 0],
    ['next goes on from the last one', choose('next', [option(0), option(2)], 0), 2],
    ['next goes round the end', choose('next', [option(0), option(2)], 2), 0],
    ['random draws', choose('random', [option(0), option(1), option(2)], -1, [0.7]), 2],
    ['best takes the fastest', choose('best', [option(0), option(1, { latencyMs: 5 })]), 1],
    ['best takes the idle one', choose('best', [option(0, { inFlight: 3 }), option(1, { latencyMs: 20 })]), 1],
    [
      'best tries the one that nothing is known of',
      choose('best', [option(0), option(1, { latencyMs: undefined })]),
      1,
    ],
    [
      'best takes a suspect one only when it is much faster',
      choose('best', [option(0), option(1, { latencyMs: 6, suspect: true })]),
      0,
    ],
    [
      'best gives one that was slow long ago another chance',
      choose('best', [option(0), option(1, { latencyMs: 500, latencyAtMs: -600_000 })]),
      1,
    ],
    [
      'two-choices takes the better of the two drawn',
      choose('two-choices', [option(0), option(1, { latencyMs: 1 }), option(2)], -1, [0, 0]),
      1,
    ],
    [
      'two-choices never draws one twice',
      choose('two-choices', [option(0, { latencyMs: 99 }), option(1)], -1, [0, 0]),
      1,
    ],
    ['two-choices of one is that one', choose('two-choices', [option(4)]), 4],
  ])('%s', (...[, chosen, expected]) => {
    expect(chosen).toBe(expected)
  })
})

describe('an address', () => {
  it.each<[string, string, number]>([
    ['db.example.com:5432', 'db.example.com', 5432],
    ['192.0.2.1:80', '192.0.2.1', 80],
    ['[2001:db8::1]:443', '2001:db8::1', 443],
    ['http://example.com/health', 'example.com', 80],
    ['https://[2001:db8::1]:8443', '2001:db8::1', 8443],
    [' example.com:1 ', 'example.com', 1],
  ])('%s is read', (text, host, port) => {
    expect(hostPortOf(parseInstance(text))).toEqual({ host, port })
  })

  it.each(['', 'a b:1', '2001:db8::1', 'host:0', 'host:65536', 'host:http', 'http://', 'user@host:1', 'host:1:2'])(
    '"%s" is refused',
    (text) => {
      expect(() => parseInstance(text)).toThrow('is not an address')
    },
  )

  it('without a port is an instance, but nothing to connect to', () => {
    expect(parseInstance('web-1').id).toBe('web-1')
    expect(() => hostPortOf(parseInstance('web-1'))).toThrow('names no port')
  })
})
