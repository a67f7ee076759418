import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  parseOwners,
  parseSocketTable,
  readListeningPorts,
} from '../../../scripts/lib/diagnose/service/ports-reader.ts'
import { createPlainHost } from '../../support/plain-host.ts'

const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1507 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 1508 1 0000000000000000 20 4 30 10 -1
`
const TCP6 = `   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1 0 100 0 0 10 0
   1: 00000000000000000000000001000000:0019 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 98 1 0 100 0 0 10 0
`

describe('listening ports', () => {
  it('takes listening sockets and leaves connections', () => {
    expect(parseSocketTable(TCP, 'tcp')).toEqual([
      { protocol: 'tcp', family: 4, address: '127.0.0.1', port: 8080, loopback: true, inode: '1507' },
    ])
  })

  it('reads IPv6 addresses word by word', () => {
    expect(parseSocketTable(TCP6, 'tcp6').map(({ address, port, loopback }) => [address, port, loopback])).toEqual([
      ['::', 22, false],
      ['::1', 25, true],
    ])
  })

  it('finds the owner of a socket in a listing of open files, whatever the name holds', () => {
    const listing =
      '/proc/7/fd:\nlrwx------ 1 root root 64 Jan 1 00:00 3 -> socket:[55]\nlr-x------ 1 0 0 4 -> /tmp/socket:[9]x\n'
    expect(parseOwners(listing, '7 a b (c)\n')).toEqual(new Map([['55', { pid: 7, name: 'a b (c)' }]]))
  })

  it.each(['local', 'ssh'] as const)('sees a real TCP and a real UDP socket and who holds them (%s)', async (kind) => {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    const udp = createSocket('udp6')
    udp.bind(0, '::1')
    onTestFinished(() => void (server.close(), udp.close()))
    await Promise.all([once(server, 'listening'), once(udp, 'listening')])

    const ports = await readListeningPorts(createPlainHost({ kind }))
    const tcpPort = (server.address() as AddressInfo).port
    const mine = ports.filter(({ process: owner }) => owner?.pid === process.pid)
    expect(mine).toContainEqual(
      expect.objectContaining({ protocol: 'tcp', address: '127.0.0.1', port: tcpPort, loopback: true }),
    )
    expect(mine).toContainEqual(expect.objectContaining({ protocol: 'udp', address: '::1', port: udp.address().port }))
  })
})
