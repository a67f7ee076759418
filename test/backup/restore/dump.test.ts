import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { splitCreateTable } from '../../../scripts/lib/backup/restore/mariadb/create-table.ts'
import { createSplitter, type DumpPiece } from '../../../scripts/lib/backup/restore/mariadb/statements.ts'
import { decidePurpose, withinDatabase, withoutDefiner } from '../../../scripts/lib/backup/restore/mariadb/statement.ts'

const DUMP = `/*M!999999\\- enable the sandbox mode */
-- MariaDB dump 10.19

/*!40101 SET NAMES utf8mb4 */;
DROP TABLE IF EXISTS \`a\`;
CREATE TABLE \`a\` (
  \`id\` int DEFAULT 1 COMMENT 'x; y',
  KEY \`k;\` (\`id\`)
) ENGINE=InnoDB;
INSERT INTO \`a\` VALUES
(1,'semi;colon'),
(2,'quote \\' and \\n');
INSERT INTO \`we\`\`ird
name; \` VALUES (1),(2);
DELIMITER ;;
/*!50003 CREATE*/ /*!50003 TRIGGER \`t\` AFTER INSERT ON \`a\` FOR EACH ROW BEGIN
  SELECT 1; -- it's; a comment
  SELECT 'DELIMITER ;';
END */;;
DELIMITER ;
/*!50003 SET sql_mode = @saved_sql_mode */ ;
-- Dump completed on 2026-11-20
`

function split(text: Buffer, sizes: readonly number[]): DumpPiece[] {
  const splitter = createSplitter()
  const pieces: DumpPiece[] = []
  let at = 0
  for (const size of sizes) {
    pieces.push(...splitter.push(text.subarray(at, at + size)))
    at += size
  }
  return [...pieces, ...splitter.push(text.subarray(at)), ...splitter.end()]
}

/** Rows in pieces are one again; everything else is as it is. */
function joined(pieces: readonly DumpPiece[]): string[] {
  const out: string[] = []
  for (const piece of pieces) {
    if (piece.kind === 'comment') out.push(piece.text)
    else if (piece.kind === 'statement') out.push(`${piece.block ? 'block' : 'plain'}: ${piece.text.toString()}`)
    else if (piece.first) out.push(`rows of ${piece.table}: ${piece.bytes.toString()}`)
    else out.push(`${out.pop()}${piece.bytes.toString()}`)
  }
  return out
}

describe('a dump cut into statements', () => {
  const whole = joined(split(Buffer.from(DUMP), []))

  it('knows comments, statements, rows and blocks with another delimiter', () => {
    expect(whole.map((line) => line.split('\n')[0])).toEqual([
      '-- MariaDB dump 10.19',
      'plain: /*!40101 SET NAMES utf8mb4 */',
      'plain: DROP TABLE IF EXISTS `a`',
      'plain: CREATE TABLE `a` (',
      'rows of a: INSERT INTO `a` VALUES',
      'rows of we`ird',
      'block: /*!50003 CREATE*/ /*!50003 TRIGGER `t` AFTER INSERT ON `a` FOR EACH ROW BEGIN',
      'plain: /*!50003 SET sql_mode = @saved_sql_mode */',
      '-- Dump completed on 2026-11-20',
    ])
    expect(whole.find((line) => line.startsWith('rows of a'))).toMatch(/'quote \\' and \\n'\);$/)
    expect(whole.find((line) => line.startsWith('block'))).toMatch(/END \*\/$/)
  })

  it('says the same however the bytes arrive', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 60 }), (sizes) => {
        expect(joined(split(Buffer.from(DUMP), sizes))).toEqual(whole)
      }),
    )
  })

  it('says the same wherever it is cut in two', () => {
    for (let at = 1; at < Buffer.byteLength(DUMP); at += 1) {
      expect(joined(split(Buffer.from(DUMP), [at])), `after ${at} bytes`).toEqual(whole)
    }
  })

  it.each([
    ['inside a statement', DUMP.slice(0, DUMP.indexOf(') ENGINE'))],
    ['inside rows', DUMP.slice(0, DUMP.indexOf('(2,'))],
    ['rows that go on with something else', DUMP.replace("(2,'quote", "UNLOCK TABLES;\n(2,'quote")],
  ])('refuses a dump that ends %s', (_what, text) => {
    expect(() => split(Buffer.from(text), [])).toThrowError(expect.objectContaining({ code: 'DATA_MISMATCH' }) as Error)
  })
})

describe('what a statement is for', () => {
  it.each([
    ['SET NAMES utf8mb4', { kind: 'before' }],
    ['/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */', { kind: 'after' }],
    ['/*!50106 SET TIME_ZONE= @save_time_zone */', { kind: 'after' }],
    ['/*!50003 SET sql_mode              = @saved_sql_mode */', { kind: 'after' }],
    ['SET @saved_cs_client     = @@character_set_client', { kind: 'before' }],
    ['USE `live`', { kind: 'place' }],
    ['CREATE DATABASE /*!32312 IF NOT EXISTS*/ `live`', { kind: 'place' }],
    ['LOCK TABLES `a` WRITE', { kind: 'locks' }],
    ['/*!40000 ALTER TABLE `a` DISABLE KEYS */', { kind: 'locks' }],
    ['DROP SEQUENCE IF EXISTS `n`', { kind: 'drop' }],
    ['/*!50001 DROP VIEW IF EXISTS `v`*/', { kind: 'drop' }],
    ['CREATE TABLE `a``b` (\n  `c` int)', { kind: 'table', name: 'a`b' }],
    ['CREATE SEQUENCE `n` start with 1', { kind: 'stand-in', name: 'n' }],
    ['DO SETVAL(`n`, 5, 0)', { kind: 'stand-in', name: 'n' }],
    ['/*!50001 CREATE VIEW `v` AS SELECT\n 1 AS `a` */', { kind: 'stand-in', name: 'v' }],
    [
      '/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`a`@`%` SQL SECURITY DEFINER */\n/*!50001 VIEW `v` AS select 1 */',
      { kind: 'view', name: 'v' },
    ],
    [
      '/*!50003 CREATE*/ /*!50017 DEFINER=`r`@`h`*/ /*!50003 TRIGGER `t` BEFORE INSERT ON `x y` FOR EACH ROW SET @a = 1 */',
      { kind: 'trigger', name: 't', table: 'x y' },
    ],
    [
      '/*!50003 CREATE*/ /*!50003 TRIGGER tr before insert\n on app . x FOR EACH ROW SET @a = 1 */',
      { kind: 'trigger', name: 'tr', table: 'x' },
    ],
    [
      'CREATE DEFINER=`r`@`h` PROCEDURE `p`()\nBEGIN SELECT "TRIGGER `t` BEFORE INSERT ON `x`"; END',
      { kind: 'routine', name: 'p' },
    ],
    [
      '/*!50106 CREATE*/ /*!50117 DEFINER=`r`@`h`*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY DO SELECT 1 */',
      { kind: 'event', name: 'e' },
    ],
    ['CREATE OR REPLACE DEFINER=`r`@`h` PACKAGE BODY `pk` AS BEGIN END', { kind: 'routine', name: 'pk' }],
  ])('%s', (text, purpose) => {
    expect(decidePurpose(text)).toEqual(purpose)
  })

  it.each([
    [
      '/*!50003 TRIGGER app.tr BEFORE INSERT ON app.x FOR EACH ROW UPDATE app.y',
      '/*!50003 TRIGGER tr BEFORE INSERT ON x FOR EACH ROW UPDATE app.y',
    ],
    [
      '/*!50003 TRIGGER `a``p`.`t r` AFTER UPDATE ON `a``p`.`x` FOR EACH ROW',
      '/*!50003 TRIGGER `t r` AFTER UPDATE ON `x` FOR EACH ROW',
    ],
    ['/*!50003 TRIGGER tr BEFORE INSERT ON x FOR EACH ROW', '/*!50003 TRIGGER tr BEFORE INSERT ON x FOR EACH ROW'],
  ])('a trigger is made where the dump is loaded: %s', (text, expected) => {
    expect(withinDatabase(text)).toBe(expected)
  })

  it.each([
    ['/*!50017 DEFINER=`a`@`%`*/ /*!50003 TRIGGER `t` x', '/*!50017 */ /*!50003 TRIGGER `t` x'],
    ["CREATE DEFINER='a'@'%' PROCEDURE `p`() SELECT 1", 'CREATE PROCEDURE `p`() SELECT 1'],
    ['CREATE PROCEDURE `p`() SELECT "DEFINER=`x`@`y`"', 'CREATE PROCEDURE `p`() SELECT "DEFINER=`x`@`y`"'],
  ])('without its definer: %s', (text, expected) => {
    expect(withoutDefiner(text)).toBe(expected)
  })
})

describe('the keys of a table that can wait', () => {
  const table = (items: readonly string[], options = 'ENGINE=InnoDB DEFAULT CHARSET=utf8mb4') =>
    `CREATE TABLE \`t\` (\n  ${items.join(',\n  ')}\n) ${options}`
  const columns = [
    '`id` int NOT NULL AUTO_INCREMENT',
    "`a` varchar(9) DEFAULT 'x), KEY (`' COMMENT '(,'",
    '`v` int GENERATED ALWAYS AS (`id` + 1) VIRTUAL',
  ]

  it.each<[string, readonly string[], readonly string[], readonly string[]]>([
    [
      'keys wait, the primary key does not',
      ['PRIMARY KEY (`id`)', 'KEY `a` (`a`)', 'UNIQUE KEY `u` (`a`(5),`v`)'],
      ['KEY `a` (`a`)', 'UNIQUE KEY `u` (`a`(5),`v`)'],
      [],
    ],
    [
      'foreign keys wait longer',
      ['PRIMARY KEY (`id`)', 'CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `o` (`x`) ON DELETE CASCADE'],
      [],
      ['CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `o` (`x`) ON DELETE CASCADE'],
    ],
    ['the key of an AUTO_INCREMENT column does not wait', ['KEY `i` (`id`)', 'KEY `a` (`a`)'], ['KEY `a` (`a`)'], []],
    [
      'FULLTEXT, SPATIAL, hashes and expressions do not wait',
      [
        'PRIMARY KEY (`id`)',
        'FULLTEXT KEY `ft` (`a`)',
        'SPATIAL KEY `s` (`a`)',
        'UNIQUE KEY `h` (`a`) USING HASH',
        'KEY `e` ((`id` + 1))',
        'CONSTRAINT `c` CHECK (`id` > 0)',
      ],
      [],
      [],
    ],
  ])('%s', (_what, items, keys, foreignKeys) => {
    const split = splitCreateTable(table([...columns, ...items]))
    expect(split).toMatchObject({ name: 't', keys, foreignKeys })
    const waiting = [...keys, ...foreignKeys]
    expect(split?.create).toBe(table([...columns, ...items.filter((item) => !waiting.includes(item))]))
  })

  it.each(['ENGINE=Aria', 'ENGINE=InnoDB WITH SYSTEM VERSIONING'])('leaves a table alone: %s', (options) => {
    const sql = table([...columns, 'PRIMARY KEY (`id`)', 'KEY `a` (`a`)'], options)
    expect(splitCreateTable(sql)).toEqual({ name: 't', create: sql, keys: [], foreignKeys: [] })
  })

  it('keeps bytes that are in no character set', () => {
    const sql = table(["`b` binary(2) DEFAULT '\\0\u00ff'", 'KEY `b` (`b`)'])
    expect(splitCreateTable(sql)?.create).toContain("'\\0\u00ff'")
  })
})
