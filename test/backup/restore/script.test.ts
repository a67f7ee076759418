/** What pg_restore prints, cut anywhere: the same statements and the same rows. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createScriptSplitter } from '../../../scripts/lib/backup/restore/postgres/script.ts'

const SCRIPT = String.raw`--
-- PostgreSQL database dump
--

\restrict 3xW

-- Dumped from database version 15.18
SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

--
-- Data for Name: it's "odd"; Type: TABLE DATA; Schema: public; Owner: app
--

COPY public."it's ""odd"";
-- name" (id, "a;b") FROM stdin;
1	\\.
2	\.x
\N	a "quote' that is never closed; --
4	\\
\.


COPY public.empty (id) FROM stdin;
\.


COPY public.last (id) FROM stdin;
5
\.


SELECT pg_catalog.setval('public."s;
'' eq"', 7, true);


\unrestrict 3xW

`

const PIECES = [
  'SET statement_timeout = 0;',
  "SELECT pg_catalog.set_config('search_path', '', false);",
  String.raw`COPY public."it's ""odd"";
-- name" (id, "a;b") FROM stdin;`,
  {
    rows: String.raw`1	\\.
2	\.x
\N	a "quote' that is never closed; --
4	\\
`,
  },
  'COPY public.empty (id) FROM stdin;',
  { rows: '' },
  'COPY public.last (id) FROM stdin;',
  { rows: '5\n' },
  `SELECT pg_catalog.setval('public."s;\n'' eq"', 7, true);`,
]

function split(text: string, cuts: readonly number[]) {
  const splitter = createScriptSplitter()
  const bytes = Buffer.from(text)
  const found: (string | { rows: string })[] = []
  let rows = ''
  const places = [0, ...cuts.map((cut) => cut % bytes.length).toSorted((a, b) => a - b), bytes.length]
  for (const [index, from] of places.entries()) {
    for (const piece of splitter.push(Buffer.from(bytes.subarray(from, places[index + 1] ?? from)))) {
      if (piece.kind === 'statement' || piece.kind === 'copy') found.push(piece.text)
      else if (piece.kind === 'end') {
        found.push({ rows })
        rows = ''
      } else {
        // What goes to another session begins with a row.
        expect(piece.continues).toBe(rows !== '' && !rows.endsWith('\n'))
        rows += piece.bytes.toString()
      }
    }
  }
  splitter.end()
  return found
}

describe('the script of a data section', () => {
  it('is statements and rows', () => {
    expect(split(SCRIPT, [])).toEqual(PIECES)
  })

  it('is the same wherever it is cut', () => {
    fc.assert(fc.property(fc.array(fc.nat()), (cuts) => void expect(split(SCRIPT, cuts)).toEqual(PIECES)))
    expect(split(SCRIPT, [...Buffer.from(SCRIPT).keys()])).toEqual(PIECES)
  })

  it('hands a command for the client on, to be refused', () => {
    expect(split('\\! reboot\n', [])).toEqual(['\\! reboot'])
  })

  it.each(['COPY t (id) FROM stdin;\n1\n', 'COPY t (id) FROM stdin;', "SELECT 'half", '\\connect'])(
    'that stops in the middle is refused: %j',
    (text) => {
      expect(() => split(text, [])).toThrow('has no end')
    },
  )
})
