/** A real SMTP server in this process, with answers chosen per message. It keeps every message that it has accepted. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import type { KeyPair } from './certificates.ts'

export interface Mail {
  readonly from: string
  readonly to: readonly string[]
  /** Headers and body as they came over the wire. */
  readonly raw: string
  /** A header, unfolded; undefined when it is missing. */
  header(name: string): string | undefined
}

export interface SmtpOptions {
  /** What it says to a recipient; undefined: accepted. Called for each RCPT TO. */
  readonly answerRcpt?: (address: string) => { code: number; text: string } | undefined
  /** What it says to the end of a message. */
  readonly answerData?: (count: number) => { code: number; text: string } | undefined
  readonly user?: { readonly name: string; readonly password: string }
  readonly tls?: KeyPair
  /** TLS from the start in place of STARTTLS. */
  readonly secure?: boolean
  readonly port?: number
}

export interface TestSmtp {
  readonly port: number
  readonly mails: Mail[]
  /** Connections so far. */
  connections(): number
  close(): Promise<void>
}

export async function startSmtp(options: SmtpOptions = {}): Promise<TestSmtp> {
  const mails: Mail[] = []
  let [connections, messages] = [0, 0]
  const { user, tls } = options
  const refuse = (answer: { code: number; text: string }) =>
    Object.assign(new Error(answer.text), { responseCode: answer.code })
  const settings: SMTPServerOptions = {
    authOptional: user === undefined,
    disabledCommands: [...(user ? [] : ['AUTH']), ...(tls ? [] : ['STARTTLS'])],
    ...(tls && { key: tls.key, cert: tls.cert }),
    secure: options.secure ?? false,
    logger: false,
    disableReverseLookup: true,
    closeTimeout: 100,
    onConnect(_session, callback) {
      connections += 1
      callback()
    },
    onAuth({ username, password }, _session, callback) {
      if (username === user?.name && password === user?.password) return callback(null, { user: username })
      callback(refuse({ code: 535, text: 'Authentication credentials invalid' }))
    },
    onRcptTo({ address }, _session, callback) {
      const answer = options.answerRcpt?.(address)
      callback(answer && refuse(answer))
    },
    onData(stream, session, callback) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        messages += 1
        const answer = options.answerData?.(messages)
        if (answer) return callback(refuse(answer))
        const { mailFrom, rcptTo } = session.envelope
        const from = mailFrom === false ? '' : mailFrom.address
        const to = rcptTo.map(({ address }) => address)
        mails.push(toMail(Buffer.concat(chunks).toString(), from, to))
        callback()
      })
    },
  }
  const server = new SMTPServer(settings)
  server.on('error', () => undefined)
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server.server, 'listening')
  return {
    port: (server.server.address() as AddressInfo).port,
    mails,
    connections: () => connections,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

function toMail(raw: string, from: string, to: readonly string[]): Mail {
  const head = (raw.split(/\r?\n\r?\n/)[0] ?? '').replace(/\r?\n[ \t]+/g, ' ')
  const header = (name: string) =>
    head
      .split(/\r?\n/)
      .find((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`))
      ?.slice(name.length + 1)
      .trim()
  return { from, to, raw, header }
}
