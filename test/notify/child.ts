/**
 * A second process for the tests: `child.ts MODE CONFIG [COUNT]`. It says one line when it has done what its mode says.
 *   enqueue  writes COUNT alerts and stays until it is killed
 *   flush    waits for a line on standard input, sends what is due, and says how many were sent
 */
import { openContext } from '../../scripts/lib/cli/context.ts'
import { enqueue, flush } from '../../scripts/lib/notify/index.ts'

const [mode, config = '', count = '1'] = process.argv.slice(2)
const say = (line: string) => process.stdout.write(`${line}\n`)
const context = await openContext({ config }, { looksOnly: false, signal: new AbortController().signal })

if (mode === 'enqueue') {
  for (let index = 0; index < Number(count); index += 1) {
    enqueue(context.journal, context.config, { key: `key-${index}`, severity: 'critical', title: `Alert ${index}` })
  }
  say('written')
  setInterval(() => undefined, 60_000)
}

if (mode === 'flush') {
  say('ready')
  process.stdin.once('data', () => {
    void flush(context).then(({ sent }) => {
      say(`sent ${sent}`)
      process.exit(0)
    })
  })
}
