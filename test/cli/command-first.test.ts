/** Where options may stand on a command line. */
import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { commandFirst } from '../../scripts/lib/cli/program.ts'

const program = new Command('backup').option('--undo')
program.command('list [name]').alias('ls').option('--config <file>').option('--json')

describe('an option of a subcommand before its name', () => {
  it.each([
    ['--config x.yaml list', 'list --config x.yaml'],
    ['--json --config=x.yaml ls web', 'ls --json --config=x.yaml web'],
    // As they stand: the program's own, help, and what has no subcommand.
    ['--undo list', '--undo list'],
    ['--undo=x list', '--undo=x list'],
    ['--help list', '--help list'],
    ['--config x.yaml', '--config x.yaml'],
    ['list --config x.yaml', 'list --config x.yaml'],
    ['web list', 'web list'],
    ['', ''],
  ])('%s', (typed, meant) => {
    const words = typed.split(' ').filter((word) => word !== '')
    expect(commandFirst(program, words).join(' ')).toBe(meant)
  })
})
