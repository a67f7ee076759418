/** A DNS server for tests, on a loopback port, that answers as it is told. Wire format: RFC 1035 4. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'

/** `silent` gives no answer at all. An address is the A record; `empty` is NOERROR without records. */
export type DnsAnswer =
  'silent' | 'servfail' | 'refused' | 'nxdomain' | 'empty' | `${number}.${number}.${number}.${number}`

export interface DnsServer {
  /** `127.0.0.1:12345` */
  readonly address: string
  readonly questions: readonly string[]
  stop(): Promise<void>
}

const RCODE = { servfail: 2, nxdomain: 3, refused: 5, empty: 0 } as const
const TYPE_A = 1

/**
 * @param answers by name, in lower case; a name that is not listed is NXDOMAIN; `''` is the root
 * @param at where to listen; a free port of 127.0.0.1 when absent
 */
export async function startDns(
  answers: Readonly<Record<string, DnsAnswer>>,
  at: { address: string; port: number } = { address: '127.0.0.1', port: 0 },
): Promise<DnsServer> {
  const socket = createSocket('udp4')
  const questions: string[] = []
  socket.on('message', (query, { port, address }) => {
    const { name, type, end } = parseQuestion(query)
    questions.push(name)
    const answer = answers[name] ?? 'nxdomain'
    if (answer === 'silent') return
    socket.send(
      formatAnswer(query.subarray(0, end), type === TYPE_A || !answer.includes('.') ? answer : 'empty'),
      port,
      address,
    )
  })
  socket.bind(at.port, at.address)
  await once(socket, 'listening')
  return {
    address: `${at.address}:${socket.address().port}`,
    questions,
    stop: () => new Promise((resolve) => socket.close(() => resolve())),
  }
}

function parseQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('ascii', at + 1, at + 1 + length))
    at += length + 1
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 }
}

function formatAnswer(question: Buffer, answer: Exclude<DnsAnswer, 'silent'>): Buffer {
  const header = Buffer.from(question)
  const isAddress = answer.includes('.')
  header.writeUInt16BE(0x8180 | (isAddress ? 0 : RCODE[answer as keyof typeof RCODE]), 2)
  header.writeUInt16BE(isAddress ? 1 : 0, 6)
  header.writeUInt32BE(0, 8)
  if (!isAddress) return header
  // A pointer to the question's name, type A, class IN, TTL 60, four bytes.
  const record = Buffer.from('c00c000100010000003c0004', 'hex')
  return Buffer.concat([header, record, Buffer.from(answer.split('.').map(Number))])
}
