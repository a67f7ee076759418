import { describe, expect, it } from 'vitest'
import { checkPlan, describePlan, formatPlan, type Plan, type Step } from '../../scripts/lib/plan/index.ts'

const step = (title: string, more: Partial<Step> = {}): Step => {
  return { on: 'web-1', title, apply: async () => undefined, undo: async () => undefined, ...more }
}
const final = (title: string, more: Partial<Step> = {}): Step => {
  return { on: 'db-2', title, apply: async () => undefined, ...more }
}
const plan = (...steps: Step[]): Plan => ({ title: 'Move the primary to db-2', because: 'db-1 is dead', steps })

describe('checkPlan', () => {
  it.each<[string, Plan, string[]]>([
    ['accepts steps that can all be undone', plan(step('a'), step('b')), []],
    ['accepts an empty plan', plan(), []],
    ['accepts points of no return at the end', plan(step('a'), final('b'), final('c')), []],
    ['refuses one before an undo', plan(final('a'), step('b')), ['step 1 cannot be undone, but step 2 after it can']],
    [
      'refuses each of them',
      plan(final('a'), step('b'), final('c'), step('d')),
      ['step 1 cannot be undone, but step 4 after it can', 'step 3 cannot be undone, but step 4 after it can'],
    ],
    ['accepts one before an undo that is meant', plan(final('a', { pointOfNoReturn: true }), step('b')), []],
    [
      'refuses a mark on a step that has an undo',
      plan(step('a', { pointOfNoReturn: true })),
      ['step 1 is a point of no return, but has an undo'],
    ],
    ['refuses a nameless step', plan(step(' ')), ['step 1 has no title']],
    ['refuses a step that is nowhere', plan(step('a', { on: '' })), ['step 1 does not say on which host']],
    [
      'refuses time to verify without a check',
      plan(step('a', { verifyWithinMs: 5 })),
      ['step 1 has nothing to verify'],
    ],
    ['refuses a plan without a reason', { ...plan(step('a')), because: '' }, ['the plan does not say why']],
  ])('%s', (_title, checked, problems) => {
    expect(checkPlan(checked)).toEqual(problems)
  })
})

describe('describePlan', () => {
  const verify = async () => ({ ok: true, because: 'it answers' })
  const described = describePlan(
    plan(step('Stop writes', { verify, preview: '-write on\n+write off\n' }), final('Promote', { verify })),
  )

  it('gives the steps as data', () => {
    expect(described).toEqual({
      title: 'Move the primary to db-2',
      because: 'db-1 is dead',
      hosts: ['web-1', 'db-2'],
      steps: [
        {
          ...{ number: 1, on: 'web-1', title: 'Stop writes', preview: '-write on\n+write off\n' },
          ...{ verified: true, undoable: true, pointOfNoReturn: false },
        },
        { number: 2, on: 'db-2', title: 'Promote', verified: true, undoable: false, pointOfNoReturn: true },
      ],
      problems: [],
    })
  })

  it('reads as lines for people', () => {
    expect(formatPlan(described)).toEqual([
      'Move the primary to db-2, because db-1 is dead',
      '',
      ' 1. web-1  Stop writes (verified, can be undone)',
      '     | -write on',
      '     | +write off',
      ' 2. db-2   Promote (verified, POINT OF NO RETURN: nothing before it is undone)',
      '',
      '2 steps on 2 hosts. Nothing has been changed.',
    ])
  })

  it('says in one line that there is nothing to do', () => {
    expect(formatPlan(describePlan({ ...plan(), because: 'db-2 is the primary' }))).toEqual([
      'Move the primary to db-2: nothing to do, db-2 is the primary',
    ])
  })

  it('says why a plan would be refused', () => {
    const lines = formatPlan(describePlan(plan(final('a'), step('b'))))
    expect(lines.at(-1)).toBe('This plan would be refused: step 1 cannot be undone, but step 2 after it can.')
  })

  it('shows hostile text inert', () => {
    const text = formatPlan(describePlan(plan(step('a\u001b[2J\nb', { preview: '\u001b]0;x\u0007' })))).join('\n')
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
    expect(text).toContain('a\\x1b[2J b')
  })
})
