/** What holds for every runbook that ships, without running it. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CATALOG } from '../../scripts/lib/catalog.ts'
import { lintRunbooks } from '../../scripts/lib/runbook/lint/index.ts'
import { listRunbookFiles, readRunbookFile, SHIPPED_DIR } from '../../scripts/lib/runbook/read/find.ts'
import type { Runbook } from '../../scripts/lib/runbook/types.ts'

const files = await listRunbookFiles([SHIPPED_DIR])
const reads = await Promise.all(files.map(({ file }) => readRunbookFile(file, { actions: CATALOG })))
const runbooks = reads.flatMap(({ runbook }) => runbook ?? [])
const english = runbooks.filter(({ language }) => language === 'en')
const index = readFileSync(`${SHIPPED_DIR}/README.md`, 'utf8')

/** What must be there: scenarios, checklists and the drill. */
const WANTED = [
  ...['gateway-down', 'backend-down', 'primary-down', 'standby-down', 'link-down', 'disk-full', 'certificate-expired'],
  ...['database-restore', 'backup-failed', 'host-unreachable', 'host-overloaded', 'nginx-down', 'database-down'],
  ...['incident-during', 'incident-after', 'prevention', 'game-day'],
]

describe('the runbooks that ship', () => {
  it('are all there, each in English and in Chinese', () => {
    const idsOf = (language: string) =>
      runbooks
        .filter((one) => one.language === language)
        .map(({ id }) => id)
        .sort()
    expect(idsOf('en')).toEqual([...WANTED].sort())
    expect(idsOf('zh-CN')).toEqual([...WANTED].sort())
  })

  it('have no mistake, and say the same in both languages', async () => {
    const complaints = await lintRunbooks(reads, {
      actions: CATALOG,
      now: Date.parse('2026-11-22'),
      testedWithinMs: 180 * 86_400_000,
    })
    expect(complaints.map(({ place, message }) => `${basename(place.file)}:${place.line}: ${message}`)).toEqual([])
  })

  it('name only example hosts and addresses', () => {
    const allowed = /^(?:127\.0\.0\.1|192\.0\.2\.\d+|198\.51\.100\.\d+|8\.8\.8\.8|223\.5\.5\.5)$/
    const found = files.flatMap(({ file }) => [...readFileSync(file, 'utf8').matchAll(/\b\d{1,3}(?:\.\d{1,3}){3}\b/g)])
    expect([...new Set(found.map(([address]) => address))].filter((address) => !allowed.test(address))).toEqual([])
  })

  it('stand in the index, in both languages', () => {
    const missing = runbooks.filter(({ file }) => !index.includes(`](${basename(file)})`))
    expect(missing.map(({ file }) => basename(file))).toEqual([])
  })
})

describe.each(english.map((runbook) => [runbook.id, runbook] as const))('%s', (_id, runbook) => {
  it('proves every change, or can say why it need not', () => {
    const unproved = changesOf(runbook).filter(
      ({ verify, task }) => verify === undefined && task?.work.kind !== 'action',
    )
    expect(unproved.filter(({ id }) => !NEED_NO_PROOF.includes(`${runbook.id} ${id}`)).map(({ id }) => id)).toEqual([])
  })

  it('has scripts that a POSIX shell can read', () => {
    const scripts = runbook.phases
      .flatMap(({ steps }) => steps.flatMap(({ task, verify, rollback }) => [task, verify, rollback]))
      .flatMap((task) => (task?.work.kind === 'shell' ? [task.work.script] : []))
    const wrong = scripts.map((script) => spawnSync('sh', ['-n'], { input: script, encoding: 'utf8' }).stderr)
    expect(wrong.filter((said) => said !== '')).toEqual([])
  })

  it('asks, or has a human before it, before it changes anything', () => {
    const steps = runbook.phases.flatMap((phase) => phase.steps)
    const first = steps.findIndex((step) => changesOf(runbook).includes(step))
    if (first === -1) return
    const asked = steps[first]?.confirm !== undefined || steps[first]?.approve !== undefined
    expect(asked || steps.slice(0, first).some(({ task }) => task === undefined)).toBe(true)
  })
})

/** Pulling an image changes nothing that is in use: what comes of it is proved by the step after it. */
const NEED_NO_PROOF = ['gateway-down pull']

function changesOf({ phases }: Runbook) {
  return phases.flatMap(({ steps }) => steps).filter(({ task, readOnly }) => task !== undefined && !readOnly)
}
