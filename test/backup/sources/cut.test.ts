import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCutter } from '../../../scripts/lib/backup/database/mysql/cut.ts'

const PREAMBLE = `/*M!999999\\- enable the sandbox mode */ 
-- MariaDB dump 10.19
-- Host: localhost    Database: a
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
-- CHANGE MASTER TO MASTER_LOG_FILE='binlog.000003', MASTER_LOG_POS=42;
`
const FOOTER = `
-- SET GLOBAL gtid_slave_pos='0-1-15';
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;

-- Dump completed on 2026-11-20  2:00:00
`

function header(name: string, create = true): string {
  const quoted = `\`${name.replaceAll('`', '``')}\``
  const comment = `\n--\n-- Current Database: ${quoted.replaceAll('\n', '\n-- ')}\n--\n\n`
  return comment + (create ? `CREATE DATABASE /*!32312 IF NOT EXISTS*/ ${quoted};\n\n` : '') + `USE ${quoted};\n`
}

function table(name: string, inserts: string): string {
  const quoted = `\`${name.replaceAll('`', '``')}\``
  return `CREATE TABLE ${quoted} (id int);\nLOCK TABLES ${quoted} WRITE;\n${inserts}UNLOCK TABLES;\n`
}

function cut(databases: readonly string[], dump: string, step: number) {
  const cutter = createCutter(databases)
  const bytes = Buffer.from(dump)
  const texts: Record<string, string> = {}
  for (let at = 0; at < bytes.length; at += step) {
    for (const piece of cutter.push(bytes.subarray(at, at + step))) {
      texts[piece.database] = (texts[piece.database] ?? '') + piece.bytes.toString('latin1')
    }
  }
  const result = cutter.finish()
  const rows = Object.fromEntries([...result.rows].map(([name, tables]) => [name, Object.fromEntries(tables)]))
  return { texts, rows, position: result.position, create: result.create, closing: cutter.closing().toString() }
}

const TWO =
  PREAMBLE +
  header('a') +
  table('t', "INSERT INTO `t` VALUES\n(1,'x(),(\\''),\n(2,NULL);\nINSERT INTO `t` VALUES\n(3,0xFF);\n") +
  table('empty', '') +
  header('b c') +
  table('we`ird\nname', 'INSERT INTO `we``ird\nname` VALUES\n(1),\n(2);\n') +
  header('a', false) +
  'CREATE VIEW v AS SELECT 1;\n' +
  FOOTER

describe('a dump of several databases', () => {
  it.each([1, 2, 7, 64, 1_000_000])('is cut the same in pieces of %i bytes', (step) => {
    const { texts, rows, position } = cut(['a', 'b c'], TWO, step)
    expect(rows).toEqual({ a: { t: 3, empty: 0 }, 'b c': { 'we`ird\nname': 2 } })
    expect(position).toEqual({ binlogFile: 'binlog.000003', binlogPosition: '42', gtid: '0-1-15' })
    expect(texts['a']).toContain('CREATE VIEW v')
    expect(texts['b c']).not.toContain('CREATE VIEW v')
    expect(texts).toEqual(cut(['a', 'b c'], TWO, TWO.length).texts)
  })

  it('says nowhere which database it goes to, but how to make it', () => {
    const { texts, create } = cut(['a', 'b c'], TWO, 100)
    for (const text of Object.values(texts)) {
      expect(text).not.toMatch(/^USE /m)
      expect(text).not.toMatch(/^CREATE DATABASE/m)
    }
    expect(texts['b c']).toContain('-- Create with: CREATE DATABASE')
    expect(texts['b c']).toMatch(/^-- Host: localhost {4}Database: b c$/m)
    expect(create.get('b c')).toBe('CREATE DATABASE /*!32312 IF NOT EXISTS*/ `b c`;')
  })

  it('ends each file with every variable set back, and the end marker', () => {
    expect(cut(['a', 'b c'], TWO, 100).closing).toBe(
      '\n/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;\n/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;\n\n-- Dump completed\n',
    )
  })

  it('takes nothing in the body of a routine for a table, a row or a database', () => {
    const body =
      'DELIMITER ;;\nCREATE PROCEDURE p() BEGIN\nINSERT INTO `t` VALUES\n(1),\n(2);\n-- Current Database: `b c`\nEND ;;\nDELIMITER ;\n'
    const dump = PREAMBLE + header('a') + table('t', 'INSERT INTO `t` VALUES\n(7);\n') + body + header('b c') + FOOTER
    const { rows, texts } = cut(['a', 'b c'], dump, 50)
    expect(rows).toEqual({ a: { t: 1 }, 'b c': {} })
    expect(texts['a']).toContain(body)
  })

  it.each([
    ['without its end marker', TWO.slice(0, -60), /end marker/],
    ['without one of the databases', PREAMBLE + header('a') + FOOTER, /"b c" is not in it/],
    ['with a header that never ends', `${PREAMBLE}-- Current Database: \`a\`\n${'-- x\n'.repeat(20_000)}`, /no end/],
  ])('is refused %s', (_name, dump, because) => {
    expect(() => cut(['a', 'b c'], dump, 1000)).toThrow(expect.objectContaining({ code: 'DATA_MISMATCH' }))
    expect(() => cut(['a', 'b c'], dump, 1000)).toThrow(because)
  })
})

/** As mysql_real_escape_string does. */
function literal(text: string): string {
  const escapes: Record<string, string> = { '\\': '\\\\', "'": "\\'", '\n': '\\n', '\r': '\\r', '\0': '\\0' }
  return `'${text.replace(/[\\'\n\r\0]/g, (char) => escapes[char] ?? char)}'`
}

describe('rows are counted exactly', () => {
  const rows = fc.array(
    fc.array(fc.string({ unit: fc.constantFrom("'", '\\', '(', ')', ',', ';', '\n', 'a', 'é', '"') }), {
      minLength: 1,
      maxLength: 3,
    }),
    {
      minLength: 1,
      maxLength: 8,
    },
  )
  it.each(['one row a line', 'all rows on one line'])('%s, whatever the values hold', (layout) => {
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 40 }), (values, step) => {
        const tuples = values.map((row) => `(${row.map(literal).join(',')})`)
        const insert =
          layout === 'one row a line'
            ? `INSERT INTO \`t\` VALUES\n${tuples.join(',\n')};\n`
            : `INSERT INTO \`t\` (\`a\`, \`b\`) VALUES ${tuples.join(',')};\n`
        const dump = PREAMBLE + header('a') + table('t', insert + insert) + FOOTER
        expect(cut(['a'], dump, step).rows).toEqual({ a: { t: 2 * values.length } })
      }),
    )
  })
})
