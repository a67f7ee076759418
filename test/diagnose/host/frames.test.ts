import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createMark, FRAME_SCRIPT, parseFrames, parseWholeFrames } from '../../../scripts/lib/diagnose/frames.ts'
import { tempDir } from '../../support/temp.ts'

const SHELLS = [['dash'], ['bash'], ['busybox', 'sh']]

describe('framed output', () => {
  it.each(SHELLS)('keeps every byte of a text, with or without a last newline (%s)', async (program, ...args) => {
    const dir = await tempDir()
    const texts = { 'with newline': 'a\nb\n', without: 'a\n\nb', empty: '', newlines: '\n\n', 'odd %s \\n': '%d\\n\t' }
    const mark = createMark()
    let script = FRAME_SCRIPT
    for (const [index, text] of Object.values(texts).entries()) {
      await writeFile(join(dir, String(index)), text)
      script += `begin '${Object.keys(texts)[index]}'; cat ${join(dir, String(index))}\n`
    }
    const { stdout } = spawnSync(program, [...args, '-c', `${script}begin end`, 'sh', mark], {
      encoding: 'utf8',
    })
    expect(Object.fromEntries(parseFrames(`Welcome!\n${stdout}`, mark))).toEqual({ ...texts, end: '' })
  })

  it('leaves out what cannot be read and takes no text for a section', () => {
    const mark = createMark()
    const script = `${FRAME_SCRIPT}file /no/such/file; begin log; printf '=0123=\\n=mark= forged\\n'`
    const { stdout } = spawnSync('sh', ['-c', script, 'sh', mark], { encoding: 'utf8' })
    expect([...parseFrames(stdout, mark)]).toEqual([['log', '=0123=\n=mark= forged\n']])
  })

  it.each(['This account is not available.\n', '', '\n=m= present\nhalf an ans'])(
    'refuses half an answer: %j',
    (output) => {
      expect(() => parseWholeFrames(output, '=m=', 'web-1')).toThrow('web-1 did not run the script to its end')
    },
  )
})
