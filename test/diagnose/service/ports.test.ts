/** Expected and found ports. */
import { describe, expect, it } from 'vitest'
import { decidePorts } from '../../../scripts/lib/diagnose/service/ports.ts'
import type { ListeningPort } from '../../../scripts/lib/diagnose/service/ports-reader.ts'

const socket = (port: number, address = '0.0.0.0', more: Partial<ListeningPort> = {}): ListeningPort => ({
  protocol: 'tcp',
  family: address.includes(':') ? 6 : 4,
  address,
  port,
  loopback: address === '127.0.0.1' || address === '::1',
  ...more,
})

const LISTENING = [
  socket(22, '::', { process: { pid: 7, name: 'sshd' } }),
  socket(3306),
  socket(5432, '127.0.0.1'),
  socket(53, '127.0.0.1', { protocol: 'udp' }),
]

describe('ports', () => {
  it.each([
    ['found', { port: 22, protocol: 'tcp', loopback: false }, 'ok', 'port 22/tcp listens'],
    ['found on loopback, as asked', { port: 5432, protocol: 'tcp', loopback: true }, 'ok', 'port 5432/tcp listens'],
    [
      'open to others against the wish',
      { port: 3306, protocol: 'tcp', loopback: true },
      'warning',
      'port 3306/tcp can be reached from other machines',
    ],
    ['missing', { port: 6379, protocol: 'tcp', loopback: false }, 'critical', 'nothing listens on port 6379/tcp'],
    [
      'of the other protocol',
      { port: 53, protocol: 'tcp', loopback: false, name: 'dns' },
      'critical',
      'nothing listens on dns (port 53/tcp)',
    ],
    ['found by UDP', { port: 53, protocol: 'udp', loopback: true }, 'ok', 'port 53/udp listens'],
  ] as const)('%s', (_, expected, severity, title) => {
    expect(decidePorts([expected], LISTENING)[0]).toMatchObject({ check: 'service.port', severity, title })
  })

  it('names the likely owner of a missing one', () => {
    const owner = (port: number, name?: string) =>
      decidePorts([{ port, protocol: 'tcp', loopback: false, ...(name && { name }) }], [])[0]?.cause
    expect(owner(5433)).toMatch(/^its service is not running/)
    expect(owner(5432)).toMatch(/^PostgreSQL is not running/)
    expect(owner(5432, 'orders-db')).toMatch(/^orders-db is not running/)
  })

  it('lists the others and judges none of them', () => {
    expect(decidePorts([{ port: 3306, protocol: 'tcp', loopback: false }], LISTENING)[1]).toMatchObject({
      severity: 'ok',
      evidence: '3 sockets, 1 ports reachable from other machines',
      lines: ['[::]:22/tcp sshd (pid 7)', '127.0.0.1:5432/tcp', '127.0.0.1:53/udp'],
    })
  })
})
