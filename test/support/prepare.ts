/**
 * Runs before the tests: sees that every program they start is here. As root on Debian it installs what is missing and
 * says so; elsewhere, and when that does not help, it says what is missing and ends with 1. needs.ts has the list.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { decideInstall, findMissing, NEEDS, WITHOUT_SERVERS } from './needs.ts'

const UPDATE_TIMEOUT_MS = 5 * 60_000
const INSTALL_TIMEOUT_MS = 20 * 60_000
/** Asked by Debian's packages before they start a service; 101 forbids it (invoke-rc.d(8)). */
const POLICY_FILE = '/usr/sbin/policy-rc.d'

const missing = () => findMissing(NEEDS, process.env['PATH'] ?? '')
const say = (lines: readonly string[]) => process.stderr.write(`${lines.join('\n')}\n`)

const decision = decideInstall({
  missing: missing(),
  isRoot: process.getuid?.() === 0,
  isDebian: existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get'),
})
if (decision.kind !== 'ready') {
  say(decision.lines)
  const output = decision.kind === 'install' ? withoutStartingServices(() => install(decision.packages)) : ''
  const still = missing().map(({ programs }) => programs[0])
  if (still.length > 0) {
    if (decision.kind === 'install') say([output, `Still missing: ${still.join(', ')}`, ...WITHOUT_SERVERS])
    process.exitCode = 1
  }
}

/** @returns what apt-get said last */
function install(packages: readonly string[]): string {
  // Without new lists the old ones may still do; the installation tells.
  const update = apt(['update'], UPDATE_TIMEOUT_MS)
  const result = apt(['install', '--yes', '--no-install-recommends', ...packages], INSTALL_TIMEOUT_MS)
  return `${update}${result}`.slice(-4_000)
}

function apt(args: readonly string[], timeoutMs: number): string {
  const result = spawnSync('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=600', ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    timeout: timeoutMs,
    maxBuffer: 64 * 1024 * 1024,
  })
  return result.status === 0 ? '' : `apt-get ${args.join(' ')}:\n${result.stdout}${result.stderr}\n`
}

/** The tests start servers of their own, on ports of their own; the machine is not to run any for them. */
function withoutStartingServices<T>(work: () => T): T {
  if (existsSync(POLICY_FILE)) return work()
  // apt-get gets the signal too and ends; without a listener this process would end before the file is gone.
  const wait = () => {
    process.exitCode = 1
  }
  process.on('SIGINT', wait).on('SIGTERM', wait)
  writeFileSync(POLICY_FILE, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    return work()
  } finally {
    rmSync(POLICY_FILE, { force: true })
  }
}
