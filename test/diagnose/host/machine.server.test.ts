import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../../scripts/lib/core/clock.ts'
import { decideRecords } from '../../../scripts/lib/diagnose/host/records.ts'
import { decideDisk } from '../../../scripts/lib/diagnose/host/space.ts'
import { decideVitals, type HostFacts } from '../../../scripts/lib/diagnose/host/vitals.ts'
import { readHostFacts, readRecordFacts } from '../../../scripts/lib/diagnose/host/index.ts'
import type { CheckFinding } from '../../../scripts/lib/diagnose/types.ts'
import { mountExt4, mountMemory } from '../../support/file-system.ts'
import { createPlainHost } from '../../support/plain-host.ts'
import { tempDir } from '../../support/temp.ts'
import { waitFor } from '../../support/wait.ts'
import { thresholds } from './thresholds.ts'

const ROOT = new URL('../../..', import.meta.url).pathname
/** This machine, looked at directly, and as a remote one would be, under each shell. */
const WAYS = [
  ['directly', createPlainHost()],
  ['by dash', createPlainHost({ kind: 'ssh', shell: ['dash'] })],
  ['by bash', createPlainHost({ kind: 'ssh', shell: ['bash', '--posix'] })],
  ['by busybox', createPlainHost({ kind: 'ssh', shell: ['busybox', 'sh'] })],
] as const
type Way = (typeof WAYS)[number][1]

describe('a machine looked at', () => {
  it('gives the same facts from here and from there', async () => {
    const [local, ...remote] = await Promise.all(WAYS.map(([, host]) => look(host, 50)))
    for (const facts of remote) {
      expect(stable(facts)).toEqual(stable(local ?? expect.fail('no facts')))
      expect(facts.windowMs).toBeGreaterThanOrEqual(40)
      expect(facts.processes.some(({ pid, name }) => pid === process.pid && name !== '')).toBe(true)
      expect(facts.processes.length).toBeGreaterThan((local?.processes.length ?? 0) * 0.7)
    }
  })

  it('needs no child process, and one command from there', async () => {
    const asked: string[] = []
    const onRead = (argv: readonly string[]) => void asked.push(argv[0] ?? '')
    await look(createPlainHost({ onRead }), 20)
    expect(asked).toEqual([])
    await look(createPlainHost({ onRead, kind: 'ssh' }), 20)
    expect(asked).toEqual(['sh'])
  })

  it.each(WAYS)('gives memory as /proc/meminfo has it (%s)', async (_, host) => {
    const { memory } = await look(host, 20)
    const meminfo = readFileSync('/proc/meminfo', 'utf8')
    const bytes = (name: string) => Number(new RegExp(`^${name}: +(\\d+)`, 'm').exec(meminfo)?.[1]) * 1024
    expect(memory?.totalBytes).toBe(bytes('MemTotal'))
    expect(memory?.swapTotalBytes).toBe(bytes('SwapTotal'))
    expect(Math.abs((memory?.availableBytes ?? 0) / bytes('MemAvailable') - 1)).toBeLessThan(0.2)
  })

  it('gives records from here and from there', async () => {
    for (const [, host] of WAYS) {
      const facts = await readRecordFacts(context(host))
      const checks = decideRecords(facts, thresholds).map(({ check }) => check)
      expect([...new Set(checks)]).toEqual(['host.oom', 'host.units', 'host.logs', 'host.clock'])
      expect(facts.oom.sinceBoot).toBe(vmstat('oom_kill'))
      expect(facts.clock.apart?.aheadMs ?? 0).toBeLessThan(2000)
      expect(facts.clock.apart?.aheadMs ?? 0).toBeGreaterThan(-5000)
    }
  })

  it('answers even where nothing but sh and cat can be found', async () => {
    const dir = await onlyCat()
    const host = createPlainHost({ kind: 'ssh', shell: ['/bin/sh'], env: { PATH: dir } })
    const facts = await look(host, 5_000)
    expect(facts.memory).toBeDefined()
    expect(facts.windowMs).toBeLessThan(5_000)
    expect(find(decideVitals(facts, thresholds), 'host.cpu')?.severity).toBeDefined()
    expect((await readRecordFacts(context(host))).oom.sinceBoot).toBe(vmstat('oom_kill'))
  })
})

describe('a busy CPU', () => {
  it.each([WAYS[0], WAYS[1]])('is seen as busy, with the process that makes it so (%s)', async (_, host) => {
    const spinners = Array.from({ length: availableParallelism() }, () => child('sh', ['-c', 'while :; do :; done']))
    const facts = await look(host, 500)
    const finding = find(decideVitals(facts, thresholds), 'host.cpu')
    expect(facts.cpu?.busy).toBeGreaterThan(0.9)
    expect(finding?.severity).not.toBe('ok')
    const used = facts.processes.filter(({ pid }) => spinners.some((spinner) => spinner.pid === pid))
    expect(used.some(({ cores }) => cores > 0.1)).toBe(true)
  })
})

describe('a full file system', () => {
  it.each(WAYS)('without inodes is critical, and its bytes are not (%s)', async (_, host) => {
    const { path } = await mountExt4(8, { mkfs: ['-N', '64'] })
    for (let index = 0; index < 100 && create(join(path, `f${index}`)); index += 1);
    const findings = decideVitals(await look(host, 20), thresholds)
    expect(find(findings, 'host.inodes', path)).toMatchObject({ severity: 'critical' })
    expect(find(findings, 'host.inodes', path)?.evidence).toMatch(/^100 % used, 0 free of \d+, critical/)
    expect(find(findings, 'host.disk', path)).toMatchObject({ severity: 'ok' })
    expect(percentOf(findings, 'host.inodes', path)).toBe(dfPercent('-i', path))
  })

  it.each([
    ['on a disk', () => mountExt4(16, { mkfs: ['-m', '20'] })],
    ['in memory', () => mountMemory(4)],
  ])('without bytes is critical with the percentage of df (%s)', async (_, mount) => {
    const { path } = await mount()
    // As an ordinary user would: what is reserved for root stays free.
    spawnSync('dd', ['if=/dev/zero', `of=${join(path, 'big')}`, 'bs=64k'], { uid: 65_534, gid: 65_534 })
    for (const [, host] of WAYS) {
      const findings = decideVitals(await look(host, 20), thresholds)
      expect(find(findings, 'host.disk', path)).toMatchObject({ severity: 'critical' })
      expect(percentOf(findings, 'host.disk', path)).toBe(dfPercent('-k', path))
    }
  })

  it('has the percentage of df when it is half full', async () => {
    const { path } = await mountExt4(16, { mkfs: ['-m', '20'] })
    writeFileSync(join(path, 'half'), Buffer.alloc(6_000_000, 1))
    execFileSync('sync', ['-f', path])
    for (const [, host] of WAYS) {
      expect(percentOf(decideVitals(await look(host, 20), thresholds), 'host.disk', path)).toBe(dfPercent('-k', path))
    }
  })
})

describe('a file system whose server never answers', () => {
  it('is unknown after a moment, and everything else is told', async () => {
    const dir = await tempDir('dead')
    // A FUSE connection that nobody serves, in a mount namespace of its own: statfs(2) on it waits for ever.
    const mount = `open(F, "+<", "/dev/fuse") or die; fcntl(F, 2, 0); $o = "fd=" . fileno(F) . ",rootmode=40000,user_id=0,group_id=0";
      system("mount", "-i", "-t", "fuse", "-o", $o, "dead", shift) == 0 or die; exec @ARGV`
    const script = `
      import { readHostFacts } from '${ROOT}scripts/lib/diagnose/host/index.ts'
      import { systemClock as clock } from '${ROOT}scripts/lib/core/clock.ts'
      import { createPlainHost } from '${ROOT}test/support/plain-host.ts'
      const all = []
      for (const kind of ['local', 'ssh'])
        all.push(await readHostFacts({ host: createPlainHost({ kind }), clock, signal: AbortSignal.timeout(9000), timeoutMs: 900 }, 10))
      console.log(JSON.stringify(all.map(({ systems }) => systems)))`
    const node = [process.execPath, '--no-warnings', '--input-type=module', '-e', script]
    const stdout = execFileSync('unshare', ['-m', 'perl', '-e', mount, dir, ...node], {
      encoding: 'utf8',
      timeout: 20_000,
    })
    const all = JSON.parse(stdout) as HostFacts['systems'][]
    expect(all).toHaveLength(2)
    for (const systems of all) {
      const dead = systems.find(({ mount: { path } }) => path === dir)
      expect(dead?.unanswered).toBe('no answer in 300 ms')
      expect(systems.filter(({ space }) => space !== undefined).length).toBeGreaterThan(0)
      expect(find(decideDisk(systems, thresholds), 'host.disk', dir)?.severity).toBe('unknown')
    }
  })
})

describe('a file system that the kernel made read-only', () => {
  it('is critical, and the kernel log says why', async () => {
    const { path, device } = await mountExt4(8, { mount: 'errors=remount-ro' })
    writeFileSync(`/sys/fs/ext4/${basename(device)}/trigger_fs_error`, '1')
    for (const [, host] of WAYS) {
      const finding = find(decideVitals(await look(host, 20), thresholds), 'host.readonly', path)
      expect(finding).toMatchObject({ severity: 'critical', title: `${path} is read-only` })
      const { logs, oom } = await readRecordFacts(context(host))
      if (logs.from !== 'kernel log' || oom.kills === undefined) continue
      expect(
        logs.records.some(({ source, message }) => source === 'kernel' && message.includes(basename(device))),
      ).toBe(true)
    }
  })
})

describe('stuck and dead processes', () => {
  it.each(WAYS)('are found: a zombie with its parent (%s)', async (_, host) => {
    const parent = child('sh', ['-c', 'sleep 0 & exec sleep 60'])
    const zombie = await waitFor('a zombie', async () => {
      const { processes } = await look(host, 10)
      return processes.find(({ parentPid, state }) => parentPid === parent.pid && state === 'Z')
    })
    expect(zombie.name).toBe('sleep')
    const strict = { ...thresholds, zombie_processes: { warning: 1, critical: 1000 } }
    const finding = find(decideVitals(await look(host, 10), strict), 'host.processes', 'zombies')
    expect(finding).toMatchObject({ severity: 'warning' })
    expect(finding?.lines?.join()).toContain(`of sleep (${parent.pid})`)
  })

  it.each(WAYS)('are found: one in uninterruptible sleep, with where it waits (%s)', async (_, host) => {
    // The parent of vfork(2) sleeps uninterruptibly until its child ends or becomes another program.
    const vfork = process.arch === 'arm64' ? 'syscall(220, 0x4111, 0, 0, 0, 0)' : 'syscall(58)'
    const parent = child('perl', ['-e', `if (${vfork} == 0) { sleep 60 }`], { detached: true })
    const blocked = await waitFor('a blocked process', async () => {
      const { processes } = await look(host, 20)
      return processes.find(({ pid, blocked: stuck }) => pid === parent.pid && stuck)
    })
    expect(blocked).toMatchObject({ name: 'perl', state: 'D' })
    expect(blocked.waitsIn).toMatch(/vfork|clone|fork/)
  })

  it('are found: one near its limit of open files', async () => {
    const script =
      'ulimit -n 300; exec perl -e \'for (1..280) { open(my $f, "<", "/dev/null"); push @f, $f } $| = 1; print "x"; sleep 60\''
    const hoarder = child('bash', ['-c', script])
    await once(hoarder.stdout ?? expect.fail('no stdout'), 'data')
    for (const [, host] of WAYS) {
      const { openFiles } = await look(host, 10)
      expect(openFiles.find(({ pid }) => pid === hoarder.pid)).toEqual({
        pid: hoarder.pid,
        name: 'perl',
        open: readdirSync(`/proc/${hoarder.pid}/fd`).length,
        limit: 300,
      })
    }
  })
})

function context(host: Way) {
  return { host, clock: systemClock, signal: AbortSignal.timeout(20_000), timeoutMs: 15_000 }
}

function look(host: Way, windowMs: number): Promise<HostFacts> {
  return readHostFacts(context(host), windowMs)
}

/** What does not move between two looks. */
function stable(facts: HostFacts) {
  return {
    identity: { ...facts.identity, uptimeSeconds: 0 },
    cpuCount: facts.load?.cpuCount,
    memoryTotal: facts.memory?.totalBytes,
    pressures: facts.pressures.map(({ resource, kind }) => [resource, kind]),
    systems: facts.systems.map(({ mount, space }) => [
      mount,
      space && space.usedBytes + space.availableBytes > 0,
      space?.inodes,
    ]),
    distant: facts.distant,
    fstab: facts.fstab,
    disks: facts.disks.map(({ name }) => name),
    fileLimit: facts.files?.limit,
    connectionLimit: facts.connections?.limit,
    hasTcp: facts.tcp !== undefined,
    reboot: facts.reboot,
  }
}

function find(findings: readonly CheckFinding[], check: string, subject?: string): CheckFinding | undefined {
  return findings.find((finding) => finding.check === check && (subject === undefined || finding.subject === subject))
}

/** The percentage as df rounds it: up. */
function percentOf(findings: readonly CheckFinding[], check: string, subject: string): number {
  return Math.ceil(find(findings, check, subject)?.measures?.[0]?.value ?? Number.NaN)
}

function dfPercent(flag: string, path: string): number {
  const line = execFileSync('df', ['-P', flag, path], { encoding: 'utf8' }).split('\n')[1] ?? ''
  return Number(/(\d+)%/.exec(line)?.[1])
}

function create(path: string): boolean {
  try {
    writeFileSync(path, '')
    return true
  } catch {
    return false
  }
}

/** A child that is gone, with its own children where it leads a group, when the test ends. */
function child(program: string, args: readonly string[], { detached = false } = {}): ChildProcess {
  const spawned = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'], detached })
  onTestFinished(async () => {
    const pid = spawned.pid ?? 0
    if (detached) process.kill(-pid, 'SIGKILL')
    else spawned.kill('SIGKILL')
    if (spawned.exitCode === null && spawned.signalCode === null) await once(spawned, 'exit')
  })
  return spawned
}

async function onlyCat(): Promise<string> {
  const dir = await tempDir('cat')
  execFileSync('ln', [
    '-s',
    execFileSync('sh', ['-c', 'command -v cat'], { encoding: 'utf8' }).trim(),
    join(dir, 'cat'),
  ])
  return dir
}

function vmstat(name: string): number {
  return Number(new RegExp(`^${name} (\\d+)`, 'm').exec(readFileSync('/proc/vmstat', 'utf8'))?.[1])
}
