/** What a tool says, however soon it ends. */
import { pbkdf2 } from 'node:crypto'
import { expect, it } from 'vitest'
import { openPlace, runTool } from '../../../scripts/lib/backup/pipeline/place.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'

it('is heard, when it ends before its credentials are put away', async () => {
  const signal = new AbortController().signal
  const place = openPlace({ host: openLocalHost(), redact: (text) => text, signal, timeoutMs: 30_000 })
  // Every thread that puts files away has something else to do, again and again.
  let done = false
  const again = () => void (done || pbkdf2('a', 'b', 30_000, 64, 'sha512', again))
  for (let thread = 0; thread < 8; thread += 1) again()
  try {
    for (let round = 0; round < 5; round += 1) {
      expect((await runTool(place, { argv: ['echo', 'x'], credentials: 'y' })).stdout).toBe('x\n')
    }
  } finally {
    done = true
  }
})
