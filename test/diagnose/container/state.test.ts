/** One container's state, as a table: what it is, and what is said about it. */
import { describe, expect, it } from 'vitest'
import { decideUnreachable } from '../../../scripts/lib/diagnose/container/check.ts'
import type { ContainerFacts } from '../../../scripts/lib/diagnose/container/facts.ts'
import { demultiplex } from '../../../scripts/lib/host/container/demux.ts'
import { decideContainer, describeExit } from '../../../scripts/lib/diagnose/container/state.ts'
import { OpsError } from '../../../scripts/lib/core/errors.ts'

const NOW = Date.UTC(2026, 10, 20)
const MINUTE = 60_000

const RUNNING: ContainerFacts = {
  id: 'abc',
  name: 'api',
  image: 'shop/api:1.2',
  composeFiles: [],
  oneOff: false,
  state: 'running',
  exitCode: 0,
  oomKilled: false,
  error: '',
  startedAtMs: NOW - 5 * MINUTE,
  restarts: 0,
  restartPolicy: 'no',
  tty: false,
}
const EXITED: Partial<ContainerFacts> = { state: 'exited', exitCode: 1, finishedAtMs: NOW - MINUTE }
const HEALTH = { status: 'unhealthy', failingStreak: 4, last: { exitCode: 1, output: 'refused' } }

describe('a container', () => {
  it.each<[string, Partial<ContainerFacts>, string, string]>([
    ['runs', {}, 'container.state', 'ok'],
    ['runs and is healthy', { health: { status: 'healthy', failingStreak: 0 } }, 'container.state', 'ok'],
    ['is unhealthy', { health: HEALTH }, 'container.health', 'critical'],
    ['is starting', { health: { status: 'starting', failingStreak: 0 } }, 'container.state', 'ok'],
    [
      'is starting for too long',
      { health: { status: 'starting', failingStreak: 9 }, startedAtMs: NOW - 20 * MINUTE },
      'container.health',
      'warning',
    ],
    ['was restarted a few times just now', { restarts: 4 }, 'container.restarts', 'warning'],
    ['was restarted many times just now', { restarts: 12 }, 'container.restarts', 'critical'],
    ['was restarted many times, long ago', { restarts: 12, startedAtMs: NOW - 90 * MINUTE }, 'container.state', 'ok'],
    ['lost a process to memory', { oomKilled: true }, 'container.oom', 'warning'],
    ['waits for its next restart', { state: 'restarting', exitCode: 1, restarts: 1 }, 'container.restarts', 'critical'],
    [
      'is killed for memory again and again',
      { state: 'restarting', oomKilled: true, exitCode: 137 },
      'container.oom',
      'critical',
    ],
    ['was killed for memory', { ...EXITED, oomKilled: true, exitCode: 137 }, 'container.oom', 'critical'],
    ['is a finished job', { ...EXITED, exitCode: 0 }, 'container.state', 'ok'],
    ['is a failed job of nobody', EXITED, 'container.state', 'warning'],
    ['is a failed service of a project', { ...EXITED, project: 'shop', service: 'api' }, 'container.state', 'critical'],
    [
      'is a failed one-off run',
      { ...EXITED, project: 'shop', service: 'api', oneOff: true },
      'container.state',
      'warning',
    ],
    ['has used up its retries', { ...EXITED, restartPolicy: 'on-failure' }, 'container.state', 'critical'],
    ['was stopped by hand', { ...EXITED, exitCode: 0, restartPolicy: 'unless-stopped' }, 'container.state', 'critical'],
    ['was created only', { state: 'created' }, 'container.state', 'warning'],
    ['could not be started', { state: 'created', exitCode: 127, error: 'no such file' }, 'container.state', 'critical'],
    ['is paused', { state: 'paused' }, 'container.state', 'warning'],
    ['is being removed', { state: 'removing' }, 'container.state', 'warning'],
    ['is dead', { state: 'dead', exitCode: 255 }, 'container.state', 'warning'],
    ['is something new', { state: 'hibernating' }, 'container.state', 'unknown'],
  ])('that %s', (_, facts, check, severity) => {
    const finding = decideContainer({ ...RUNNING, ...facts }, { now: NOW, restarts: { warning: 3, critical: 10 } })
    expect(finding).toMatchObject({ check, severity, subject: 'api' })
    expect(finding.next === undefined).toBe(severity === 'ok')
  })

  it('is described by its image’s age, time up and service', () => {
    const facts = {
      ...RUNNING,
      imageCreatedAtMs: NOW - 20 * 86_400_000,
      project: 'shop',
      service: 'api',
      health: HEALTH,
    }
    expect(decideContainer(facts, { now: NOW, restarts: { warning: 3, critical: 10 } }).evidence).toBe(
      '4 health checks failed in a row, the last with status 1: refused; image shop/api:1.2 (built 20 d ago), up 5 min, service shop/api, restart policy no',
    )
  })

  it.each([
    [0, '0: a normal end'],
    [137, '137: killed (SIGKILL)'],
    [143, '143: asked to stop (SIGTERM)'],
    [129, '129: ended by signal 1'],
    [42, '42'],
    [255, '255'],
  ])('exit code %i has its meaning', (code, text) => {
    expect(describeExit(code)).toBe(text)
  })
})

describe('the output of a container', () => {
  const frame = (stream: number, text: string) => {
    const header = Buffer.alloc(8)
    header[0] = stream
    header.writeUInt32BE(Buffer.byteLength(text), 4)
    return Buffer.concat([header, Buffer.from(text)])
  }

  it('is put together from both streams in order', () => {
    expect(demultiplex(Buffer.concat([frame(1, 'one\n'), frame(2, 'zwei ✓\n'), frame(1, 'three')]))).toBe(
      'one\nzwei ✓\nthree',
    )
  })

  it('keeps a line in one piece that the other stream breaks into', () => {
    const frames = [frame(1, 'password='), frame(2, 'oops\nmore'), frame(1, 'hunter2\nlast'), frame(2, ' of it')]
    expect(demultiplex(Buffer.concat(frames))).toBe('oops\npassword=hunter2\nlast\nmore of it')
  })

  it.each([
    ['no frames at all', Buffer.from('plain text'), 'plain text'],
    ['a frame cut short', frame(1, 'whole').subarray(0, 11), 'who'],
    ['less than a header', Buffer.from([1, 0, 0]), '\x01\0\0'],
    ['nothing', Buffer.alloc(0), ''],
  ])('survives %s', (_, bytes, text) => {
    expect(demultiplex(bytes)).toBe(text)
  })
})

describe('an engine that cannot be asked', () => {
  it.each([
    [new OpsError('MISSING_TOOL', 'no socket'), false, 'skipped'],
    [new OpsError('MISSING_TOOL', 'no socket'), true, 'critical'],
    [new OpsError('NOT_PERMITTED', 'denied'), true, 'skipped'],
    [new OpsError('UNREACHABLE', 'refused'), false, 'warning'],
    [new OpsError('UNREACHABLE', 'refused'), true, 'critical'],
  ])('because of %s (expected: %s)', (error, isExpected, severity) => {
    expect(decideUnreachable(error, isExpected)).toMatchObject({ check: 'container', severity })
  })

  it('for any other reason is for the caller to tell', () => {
    expect(() => decideUnreachable(new OpsError('TIMEOUT', 'hung'), false)).toThrow('hung')
  })
})
