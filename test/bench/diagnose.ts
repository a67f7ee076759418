/**
 * What a diagnosis costs: the whole local look, `--help`, child processes, black holes, ten hosts over SSH.
 * `node_modules/.bin/node test/bench/diagnose.ts`. Whole processes on the wall clock, median of the runs.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeBlackHole, type Ended } from '../support/netns.ts'
import { NODE, opskit, ROOT, runProgram } from '../support/opskit.ts'
import { startSshd } from '../support/sshd.ts'
import { makeUser } from '../support/users.ts'
import { median, rowOf, type BenchRow } from './types.ts'

const RUNS = 7
const SCRIPT = join(ROOT, 'scripts/diagnose.ts')
const WINDOW_SECONDS = 0.25
const DEADLINE_SECONDS = 2

export async function bench(): Promise<BenchRow[]> {
  const dir = await mkdtemp(join(tmpdir(), 'opskit-bench-'))
  try {
    return [
      ...(await benchLocal(dir)),
      await benchHelp(),
      await benchChildren(dir),
      await benchBlackHole(dir),
      await benchTenHosts(dir),
    ]
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function benchLocal(cwd: string): Promise<BenchRow[]> {
  await opskit('diagnose', [], { cwd })
  const node: number[] = []
  const whole: number[] = []
  for (let i = 0; i < RUNS; i += 1) {
    node.push((await runProgram([NODE, '-e', '0'])).durationMs / 1_000)
    whole.push(secondsOf(await opskit('diagnose', [], { cwd })))
  }
  return [
    rowOf({ name: 'diagnose: this machine, whole process', ours: median(whole), unit: 's', target: 0.7 }),
    rowOf({
      name: 'diagnose: the same without the start of Node',
      ours: median(whole) - median(node),
      peer: WINDOW_SECONDS,
      peerName: 'sampling window',
      unit: 's',
      target: 2 * WINDOW_SECONDS,
    }),
  ]
}

async function benchHelp(): Promise<BenchRow> {
  const times: number[] = []
  await opskit('diagnose', ['--help'])
  for (let i = 0; i < RUNS; i += 1) times.push((await opskit('diagnose', ['--help'])).durationMs)
  return rowOf({ name: 'diagnose --help', ours: median(times), unit: 'ms', target: 150 })
}

/** Every execve below our own, as the kernel counts them. */
async function benchChildren(cwd: string): Promise<BenchRow> {
  const trace = join(cwd, 'trace')
  await runProgram(['strace', '-f', '-qq', '-e', 'trace=execve', '-o', trace, NODE, SCRIPT], { cwd, timeoutMs: 60_000 })
  const lines = (await readFile(trace, 'utf8')).split('\n').filter((line) => /execve\(.* = 0$/.test(line))
  return rowOf({ name: 'diagnose: child processes', ours: lines.length - 1, unit: 'processes', target: 5 })
}

async function benchBlackHole(dir: string): Promise<BenchRow> {
  const hole = await makeBlackHole({ resolvers: ['198.51.100.53'] })
  try {
    const config = join(dir, 'hole.yaml')
    await writeFile(config, blackHoleConfig(dir))
    const times: number[] = []
    for (let i = 0; i < 3; i += 1) {
      times.push(secondsOf(await hole.measure([NODE, SCRIPT, '--config', config], 30_000)))
    }
    const target = DEADLINE_SECONDS + 0.3
    return rowOf({ name: 'diagnose: every target a black hole, deadline 2 s', ours: median(times), unit: 's', target })
  } finally {
    await hole.remove()
  }
}

/** Of a run that gave a diagnosis; one that fails is fast and says nothing. */
function secondsOf(ran: Ended): number {
  if (!/\d ok/.test(ran.stdout)) throw new Error(`no diagnosis: ${ran.stdout}${ran.stderr}`)
  return ran.durationMs / 1_000
}

function blackHoleConfig(dir: string): string {
  const targets = Array.from({ length: 8 }, (_, i) => `{ host: 198.51.100.${i + 1}, port: 443 }`)
  return `state: { dir: ${dir}/hole }
hosts: { standby: { ssh: { host: 198.51.100.20 }, roles: [standby] } }
diagnose:
  deadline: ${DEADLINE_SECONDS}s
  network: { timeout: 10s, resolve: [db.example.com], targets: [${targets.join(', ')}] }
  http: [{ name: far, url: "http://198.51.100.9/health", timeout: 10s }]
  databases: [{ name: db, type: mariadb, host: 198.51.100.8, timeout: 10s }]
`
}

async function benchTenHosts(dir: string): Promise<BenchRow> {
  const sshd = await startSshd({ config: ['MaxStartups 100'] })
  // With a plain shell: what root's own start-up files cost is no cost of ours.
  const user = await makeUser()
  try {
    const { port, identityFile, knownHosts } = sshd.settings
    const login = `{ ssh: { host: 127.0.0.1, port: ${port}, user: ${user.name}, identity_file: ${identityFile}, known_hosts: ${knownHosts}, agent: false } }`
    const names = Array.from({ length: 10 }, (_, i) => `web-${i}`)
    const config = join(dir, 'ten.yaml')
    await writeFile(
      config,
      `state: { dir: ${dir}/ten }\nhosts:\n${names.map((name) => `  ${name}: ${login}\n`).join('')}`,
    )
    const times: number[] = []
    for (let i = 0; i < 5; i += 1) {
      const ran = await opskit('diagnose', ['--config', config, '--host', names.join(',')])
      times.push(secondsOf(ran))
    }
    return rowOf({ name: 'diagnose: 10 hosts over a loopback sshd', ours: median(times), unit: 's', target: 2.5 })
  } finally {
    await sshd.stop()
    await user.remove()
  }
}

if (import.meta.main) {
  const { printRows } = await import('./print.ts')
  printRows(await bench())
}
