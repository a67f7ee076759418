/**
 * What a run costs beside what it runs: from `start` to the first prompt of a runbook that ships, on a terminal, and per step of
 * one of 200 steps that are all run, fsync included. `node_modules/.bin/node test/bench/runbook.ts`. Figures are medians. Beside a step stands
 * the bare spawn of the same program, which is the step's own time.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { quoteArgv } from '../../scripts/lib/core/quote.ts'
import { median, rowOf, type BenchRow } from './types.ts'

const STEPS = 200
const ROUNDS = 5
const PROMPT_MS = 400
const STEP_MS = 10
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const NODE = `${ROOT}node_modules/.bin/node`

const execute = promisify(execFile)

export async function bench(): Promise<BenchRow[]> {
  const dir = await mkdtemp(join(tmpdir(), 'opskit-bench-'))
  try {
    await mkdir(join(dir, 'runbooks'))
    await writeFile(
      join(dir, 'opskit.yaml'),
      JSON.stringify({ state: { dir: join(dir, 'state') }, runbook: { dirs: [join(dir, 'runbooks')] } }),
    )
    await writeFile(join(dir, 'runbooks', 'many.md'), manySteps())
    const prompts: number[] = []
    const steps: { readonly wholeMs: number; readonly ownMs: number }[] = []
    // The first round only warms up.
    for (let round = 0; round <= ROUNDS; round += 1) {
      const promptMs = await timePrompt(dir)
      const took = await timeSteps(dir)
      if (round === 0) continue
      prompts.push(promptMs)
      steps.push(took)
    }
    const perStep = (of: (took: (typeof steps)[number]) => number) => median(steps.map((took) => of(took) / STEPS))
    return [
      rowOf({
        name: 'from start to the first prompt on a terminal',
        ours: median(prompts),
        unit: 'ms',
        target: PROMPT_MS,
      }),
      rowOf({
        name: `a step of ${STEPS}, beside its own time, on the disk before the next`,
        ours: perStep(({ wholeMs, ownMs }) => wholeMs - ownMs),
        peer: perStep(({ ownMs }) => ownMs),
        peerName: "the step's own time",
        unit: 'ms',
        target: STEP_MS,
      }),
    ]
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** Until the keys are shown, by a terminal of tmux's that writes down what it gets. */
async function timePrompt(dir: string): Promise<number> {
  const socket = `opskit-bench-${process.pid}`
  const tmux = (...args: string[]) => execute('tmux', ['-L', socket, '-f', '/dev/null', ...args])
  const [log, began] = [join(dir, 'screen'), join(dir, 'began')]
  await rm(log, { force: true })
  const start = quoteArgv([
    NODE,
    `${ROOT}scripts/runbook.ts`,
    'start',
    // One that ships and begins with a human: nothing is run before the prompt.
    'incident-during',
    '--drill',
    '--again',
    '--config',
    join(dir, 'opskit.yaml'),
  ])
  // The clock starts with the program, not with the terminal: the shell waits in a pipe until it is told.
  const script = `read -r _ < ${began}; exec ${start}`
  await rm(began, { force: true })
  await execute('mkfifo', [began])
  await tmux('new-session', '-d', '-x', '120', '-y', '40', script)
  try {
    await tmux('pipe-pane', `cat > ${log}`)
    await delay(100)
    await writeFile(began, '')
    const startedAt = performance.now()
    for (;;) {
      const text = await readFile(log, 'utf8').catch(() => '')
      if (text.includes('[q]')) return performance.now() - startedAt
      if (performance.now() - startedAt > 20_000) throw new Error(`no prompt within 20 s: ${text}`)
      await delay(1)
    }
  } finally {
    await tmux('kill-server').catch(() => undefined)
  }
}

async function timeSteps(dir: string): Promise<{ wholeMs: number; ownMs: number }> {
  const config = join(dir, 'opskit.yaml')
  const args = [`${ROOT}scripts/runbook.ts`, 'start', 'many', '--drill', '--again', '--json', '--config', config]
  const { stdout } = await execute(NODE, args, { maxBuffer: 2 ** 26 })
  const { incident } = JSON.parse(stdout) as { incident: string }
  const text = await readFile(join(dir, 'state', 'incidents', `${incident}.jsonl`), 'utf8')
  const events = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { at: string; kind: string; evidence?: { durationMs?: number }[] })
  const at = (kind: string, which: 'find' | 'findLast') =>
    Date.parse(events[which]((event) => event.kind === kind)?.at ?? '')
  const wholeMs = at('step.ended', 'findLast') - at('step.started', 'find')
  const ownMs = events.reduce((sum, { evidence = [] }) => sum + (evidence[0]?.durationMs ?? 0), 0)
  return { wholeMs, ownMs }
}

function manySteps(): string {
  const step = (index: number) =>
    `- [ ] Step ${index}\n\n  \`\`\`yaml\n  id: step-${index}\n  run: ["true"]\n  read_only: yes\n  \`\`\`\n`
  const head = ['id: many', 'title: Many steps', 'severity: low', 'owner: ops', 'last_tested: 2026-11-20'].join('\n')
  return `---\n${head}\n---\n\n# Many\n\n## All\n\n${Array.from({ length: STEPS }, (_, index) => step(index + 1)).join('\n')}`
}

if (import.meta.main) console.table(await bench())
