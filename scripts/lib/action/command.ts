/** The action `command.run`: a program of the operator's own, by the same door as everything else. */
import { z } from 'zod'
import { formatDuration } from '../core/duration.ts'
import { OpsError } from '../core/errors.ts'
import type { ChangeAction } from './types.ts'

/** Whoever runs it has a deadline of its own; this one is for nobody having any. */
const LONGEST_MS = 24 * 3_600_000
const MAX_SHOWN = 2_000

const params = z.strictObject({
  run: z
    .tuple([z.string().min(1)], z.string())
    .meta({ description: 'A program and its arguments; no shell, unless it is the program' }),
  on: z.string().optional().meta({ description: 'The host it runs on (default: this machine)' }),
  timeout_ms: z.int().min(1).max(LONGEST_MS).default(LONGEST_MS).meta({ description: 'Until it is ended' }),
})

export function createCommandAction(): ChangeAction<z.output<typeof params>> {
  return {
    name: 'command.run',
    summary: 'Run a program on this machine or on a host',
    changes: true,
    params,
    lease: ({ run, on }) => `command:${on ?? ''}:${run.join(' ')}`.slice(0, 300),
    plan: ({ redact }, { run, on, timeout_ms: timeoutMs }) => {
      const title = `Run ${redact(run.join(' '))}`.slice(0, 200)
      const host = on ?? 'localhost'
      return Promise.resolve({
        title,
        because: 'it was asked for',
        steps: [
          {
            on: host,
            title,
            timeoutMs,
            apply: async (target, signal) => {
              const result = await target.run(run, { timeoutMs, signal, okCodes: 'any' })
              if (result.exitCode === 0) return
              const said = redact((result.stderr || result.stdout).trim()).slice(-MAX_SHOWN)
              throw new OpsError('FAILED', `${run[0]} ended with ${result.exitCode}: ${said || 'it said nothing'}`, {
                hint: `It ran for ${formatDuration(result.durationMs)}. Run it by hand on ${host}.`,
              })
            },
          },
        ],
      })
    },
  }
}
