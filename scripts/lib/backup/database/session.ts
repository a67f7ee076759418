/**
 * A conversation with a database through its own client, started where the dump tool runs: the same way to the server, the
 * same credentials, over SSH and in containers too. Statements go in by stdin, one at a time.
 */
import type { Readable } from 'node:stream'
import type { OpsError } from '../../core/errors.ts'
import type { Place, Tool, ToolEnd, ToolSpec } from '../pipeline/place.ts'

/** What differs between the clients. */
export interface Dialect {
  readonly client: ToolSpec
  /** A statement that prints exactly this line. */
  mark(line: string): string
  /** The client's output for one statement, as rows of text. */
  parse(output: string): string[][]
  /** The error of a client that ended, early or not. */
  errorOf(end: ToolEnd): Promise<OpsError> | OpsError
}

export interface SqlSession {
  /**
   * @returns the rows as text; NULL is what the dialect makes of it
   * @throws OpsError when the statement fails; the session is over then
   */
  query(statement: string): Promise<string[][]>
  close(): Promise<void>
}

/** Milliseconds a client may take to say goodbye. */
const CLOSE_MS = 2_000
/** Facts of a hundred thousand tables; more is a mistake. */
const ANSWER_BYTES = 256 * 1024 ** 2

export async function openSession(place: Place, dialect: Dialect): Promise<SqlSession> {
  const tool = await place.start({ ...dialect.client, wantsInput: true })
  const answers = readAnswers(tool.output)
  tool.input.on('error', () => undefined)
  let count = 0
  let turn: Promise<unknown> = Promise.resolve()

  const ask = async (statement: string): Promise<string[][]> => {
    count += 1
    const mark = `opskit answer ${count}`
    tool.input.write(`${statement};\n${dialect.mark(mark)}\n`)
    const output = await Promise.race([answers.until(`${mark}\n`), tool.ended.then(() => undefined)])
    // An answer may have come whole just before the client ended.
    const text = output ?? answers.take(`${mark}\n`)
    if (text === undefined) throw await dialect.errorOf(await tool.ended)
    return dialect.parse(text)
  }

  return {
    query(statement) {
      const answer = turn.then(() => ask(statement))
      turn = answer.catch(() => undefined)
      return answer
    },
    async close() {
      tool.input.end()
      await goodbye(tool)
    },
  }
}

async function goodbye(tool: Tool): Promise<void> {
  const timer = setTimeout(tool.kill, CLOSE_MS)
  await tool.ended
  clearTimeout(timer)
}

/** What has been printed and not yet taken, up to a mark. */
function readAnswers(output: Readable | undefined) {
  let text = ''
  let waiting: { mark: string; resolve: (text: string) => void } | undefined
  const take = (mark: string): string | undefined => {
    // The mark is a line of its own, so it ends what was printed.
    if (!text.endsWith(mark)) return undefined
    const answer = text.slice(0, -mark.length)
    text = ''
    return answer
  }
  output?.setEncoding('utf8').on('data', (piece: string) => {
    if (text.length < ANSWER_BYTES) text += piece
    const answer = waiting && take(waiting.mark)
    if (answer !== undefined) waiting?.resolve(answer)
  })
  output?.on('error', () => undefined)
  return {
    take,
    until: (mark: string) =>
      new Promise<string>((resolve) => {
        const answer = take(mark)
        if (answer === undefined) waiting = { mark, resolve }
        else resolve(answer)
      }),
  }
}
