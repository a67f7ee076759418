/** The system log through logger(1), into a socket of our own; and wall(1), whose readers are whoever is logged in. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { tempDir } from '../support/temp.ts'
import { waitFor } from '../support/wait.ts'
import { setUp } from './setup.ts'

/** Node knows no datagram sockets of this kind; Perl is in every Debian. */
const LISTENER = `
  use Socket; $| = 1;
  socket(my $log, PF_UNIX, SOCK_DGRAM, 0) or die; bind($log, pack_sockaddr_un($ARGV[0])) or die;
  while (defined recv($log, my $entry, 65536, 0)) { print "$entry\\n" }`

async function startSyslog() {
  const socket = join(await tempDir('syslog'), 'log')
  const child = spawn('perl', ['-e', LISTENER, socket], { stdio: ['ignore', 'pipe', 'inherit'] })
  let entries = ''
  child.stdout.on('data', (chunk: Buffer) => (entries += chunk.toString()))
  onTestFinished(() => void child.kill('SIGKILL'))
  await waitFor('the socket', () => existsSync(socket))
  return { socket, entries: () => entries.split('\n').filter((line) => line !== '') }
}

describe('the system channel', () => {
  it('writes one line to the system log, whatever the alert holds', async () => {
    const { socket, entries } = await startSyslog()
    const bench = setUp(`channels: { log: { type: system, socket: ${socket}, facility: local3 } }`)
    bench.raise({ title: '-p kern.emerg', text: 'first\nsecond\n<0>third', host: '备'.repeat(1_000) })
    expect(await bench.flush()).toMatchObject({ sent: 1, channels: [{ answer: 'taken by logger' }] })
    await waitFor('the entry', () => entries().length > 0)
    const [entry = ''] = entries()
    expect(entries()).toHaveLength(1)
    // local3 is facility 19, crit is severity 2 (RFC 5424 6.2.1).
    expect(entry).toMatch(/^<154>/)
    expect(entry).toContain('opskit: CRITICAL')
    expect(entry).toContain('first second <0>third')
    expect(Buffer.byteLength(entry)).toBeLessThan(2_100)
  })

  it('without a system log says so, and tries again', async () => {
    const bench = setUp('channels: { log: { type: system, socket: /nonexistent/log } }')
    bench.raise()
    expect(await bench.flush()).toMatchObject({
      failed: 1,
      channels: [{ answer: expect.stringContaining('/nonexistent/log') as string }],
    })
  })

  it('writes to terminals', async () => {
    const bench = setUp('channels: { terminals: { type: system, via: [wall] } }')
    bench.raise()
    expect(await bench.flush()).toMatchObject({ sent: 1, channels: [{ answer: 'taken by wall' }] })
  })
})
