/**
 * One client session that runs statements as they are written to it, and says when they have run. It is the server's own
 * client in a mode that executes nothing but SQL: a dump is not trusted.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { OpsError } from '../../../core/errors.ts'
import {
  formatOptionFile,
  mysqlError,
  ONLY_OUR_OPTIONS,
  openMysqlSession,
  type MysqlAccess,
} from '../../database/mysql/connect.ts'
import { runTool } from '../../pipeline/place.ts'
import { createOutbox, type Outbox } from '../outbox.ts'

export interface LoadSession {
  /** Bytes written and not yet taken by the client. */
  readonly waitingBytes: number
  /** Resolves when the bytes are copied: the buffer may be used again. */
  write(bytes: Buffer): Promise<void>
  /** Resolves when everything written so far has run. @throws what the session failed with */
  barrier(): Promise<void>
  /** Ends the session after everything has run. */
  end(): Promise<void>
  kill(): void
  /** Never resolves; rejects when the session ends before it was told to. */
  readonly failed: Promise<never>
}

/**
 * The options under which a client runs nothing but SQL. `--sandbox` (MariaDB 10.11.8) refuses commands that touch files
 * or run programs; `--binary-mode` takes every command but DELIMITER for SQL, which the server then refuses.
 */
export async function readClientOptions({ place, client }: MysqlAccess): Promise<readonly string[]> {
  const { stdout } = await runTool(place, { argv: [client, '--no-defaults', '--help', '--verbose'] })
  const sandbox = /^\s+--sandbox\b/m.test(stdout) ? ['--sandbox'] : []
  return [...sandbox, '--binary-mode', '--batch', '--skip-column-names', '--unbuffered', '--skip-reconnect']
}

export async function openLoadSession(
  access: MysqlAccess,
  { options, database }: { readonly options: readonly string[]; readonly database: string },
): Promise<LoadSession> {
  const { place, address, client, family } = access
  const tool = await place.start({
    argv: [
      client,
      ONLY_OUR_OPTIONS,
      ...options,
      '--default-character-set=utf8mb4',
      '--max-allowed-packet=1G',
      `--database=${database}`,
    ],
    credentials: formatOptionFile(address, family),
    wantsInput: true,
  })
  // Not to be guessed by a dump that would like to be believed done.
  const mark = `opskit-${randomBytes(12).toString('hex')}`
  const waiting: (() => void)[] = []
  let ending = false
  let connection = ''
  tool.input.on('error', () => undefined)
  if (tool.output) {
    readMarks(tool.output, mark, (rest) => {
      if (rest === '') waiting.shift()?.()
      else connection = rest
    })
  }
  tool.input.write(`SELECT CONCAT('${mark}', CONNECTION_ID());\n`)
  const failed = tool.ended.then((end) => {
    if (!ending) throw mysqlError(end, place)
    return new Promise<never>(() => undefined)
  })
  failed.catch(() => undefined)
  const outbox = createOutbox(tool.input)

  return {
    get waitingBytes() {
      return outbox.waitingBytes
    },
    async write(bytes) {
      await Promise.race([outbox.write(bytes), failed])
    },
    async barrier() {
      const reached = new Promise<void>((resolve) => waiting.push(resolve))
      await Promise.race([outbox.write(Buffer.from(`SELECT '${mark}';\n`)), failed])
      const over = new AbortController()
      try {
        await Promise.race([reached, failed, refuseStuck(access, () => connection, outbox, over.signal)])
      } finally {
        over.abort()
      }
    },
    async end() {
      ending = true
      await Promise.race([outbox.empty(), tool.ended])
      tool.input.end()
      const end = await tool.ended
      if (end.code !== 0) throw mysqlError(end, place)
    },
    kill: tool.kill,
    failed,
  }
}

/** Other statements of a dump answer too (`SELECT SETVAL(…)`); only marks count. @param seen what follows the mark */
function readMarks(stdout: NodeJS.ReadableStream, mark: string, seen: (rest: string) => void): void {
  let rest = ''
  stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString('latin1')).split('\n')
    rest = (lines.pop() ?? '').slice(-200)
    lines.filter((line) => line.startsWith(mark)).forEach((line) => seen(line.slice(mark.length)))
  })
}

/** A client that has read everything and still does nothing for so long waits for the end of a statement. */
const IDLE_SECONDS = 5
const LOOK_MS = 2_000

/** Never resolves; rejects when the client waits for a closing quote that does not come. */
async function refuseStuck(
  access: MysqlAccess,
  connection: () => string,
  outbox: Outbox,
  over: AbortSignal,
): Promise<never> {
  const isOver = () => over.aborted
  while (!isOver()) {
    await delay(LOOK_MS, undefined, { signal: over }).catch(() => undefined)
    if (isOver() || outbox.waitingBytes > 0 || connection() === '') continue
    const looking = await openMysqlSession(access)
    try {
      const [row] = await looking.query(
        `SELECT command, time FROM information_schema.processlist WHERE id = ${Number(connection())}`,
      )
      if (isOver() || row?.[0] !== 'Sleep' || Number(row[1]) < IDLE_SECONDS) continue
    } finally {
      await looking.close()
    }
    throw new OpsError('DATA_MISMATCH', 'a statement of the dump has no end: the dump is damaged', {
      hint: 'Take another backup.',
    })
  }
  return new Promise<never>(() => undefined)
}
