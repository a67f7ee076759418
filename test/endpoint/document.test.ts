import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatQr, parseEndpointDocument, parseQr } from '../../scripts/lib/endpoint/client/document.ts'
import {
  entriesOf,
  NO_LISTS,
  addEndpoint,
  parseLists,
  formatLists,
  removeEndpoint,
  replaceLists,
} from '../../scripts/lib/endpoint/client/lists.ts'
import { listAddressOf } from '../../scripts/lib/endpoint/client/remote.ts'
import { parseEndpointUrl } from '../../scripts/lib/endpoint/client/url.ts'
import { isOpsError } from '../../scripts/lib/core/errors.ts'

const A = 'https://api-a.example.com'
const B = 'https://api-b.example.com'
const S = 'https://socket.example.com'

describe('a QR code', () => {
  it.each([
    ['single addresses', { api_url: A, socketio_url: S, room_id: 'room123' }, [{ url: A, priority: 0 }]],
    [
      'lists of addresses, in their order',
      { api_endpoints: [A, B], socketio_endpoints: [S], room_id: 'room123' },
      [
        { url: A, priority: 0 },
        { url: B, priority: 1 },
      ],
    ],
    [
      'addresses with priorities',
      {
        api_endpoints: [
          { url: A, priority: 7 },
          { url: B, priority: 0 },
        ],
        socketio_endpoints: [{ url: S, priority: 0 }],
        room_id: 'room123',
      },
      [
        { url: A, priority: 7 },
        { url: B, priority: 0 },
      ],
    ],
  ])('may hold %s', (_form, data, api) => {
    expect(parseQr(JSON.stringify(data))).toEqual({ api, socketio: [{ url: S, priority: 0 }], roomId: 'room123' })
  })

  it('need not name both kinds, nor a room', () => {
    expect(parseQr(JSON.stringify({ api_url: A }))).toEqual({ api: [{ url: A, priority: 0 }] })
  })

  it.each<[string, 'single' | 'list' | 'priority', unknown]>([
    ['the first of each kind', 'single', { api_url: B, socketio_url: S }],
    ['addresses in the order of their priority', 'list', { api_endpoints: [B, A], socketio_endpoints: [S] }],
    [
      'priorities',
      'priority',
      {
        api_endpoints: [
          { url: B, priority: 1 },
          { url: A, priority: 4 },
        ],
        socketio_endpoints: [{ url: S, priority: 0 }],
      },
    ],
  ])('is written with %s', (_what, form, expected) => {
    const list = {
      api: [
        { url: A, priority: 4 },
        { url: B, priority: 1 },
      ],
      socketio: [{ url: S, priority: 0 }],
    }
    expect(JSON.parse(formatQr(list, form))).toEqual(expected)
  })

  it('reads back as it was written', () => {
    const list = {
      api: [
        { url: A, priority: 0 },
        { url: B, priority: 3 },
      ],
      socketio: [{ url: S, priority: 0 }],
      roomId: 'r',
    }
    expect(parseQr(formatQr(list, 'priority'))).toEqual(list)
  })

  it('is refused when there is too much for one', () => {
    const api = Array.from({ length: 64 }, (_, i) => ({
      url: `https://a-rather-long-name-${i}.example.com/api/v1`,
      priority: i,
    }))
    expect(() => formatQr({ api }, 'priority')).toThrow('2,953')
  })

  it.each<[string, string, string]>([
    ['empty', '', 'not JSON'],
    ['HTML', '<html>', 'not JSON'],
    ['cut off', '{"api_url":"https://a', 'not JSON'],
    ['a number', '7', 'not an object'],
    ['a list', '[]', 'not an object'],
    ['null', 'null', 'not an object'],
    ['an empty object', '{}', 'names no endpoint'],
    ['empty lists', '{"api_endpoints":[],"socketio_endpoints":[]}', 'names no endpoint'],
    ['a list that is text', '{"api_endpoints":"https://a.example.com"}', 'api_endpoints is not a list'],
    ['an address that is a number', '{"api_url":7}', 'api_url is not text'],
    ['an item that is a number', '{"api_endpoints":[7]}', 'api_endpoints[0] is neither'],
    ['an item without a URL', '{"api_endpoints":[{"priority":0}]}', 'api_endpoints[0].url is not text'],
    ['a priority that is text', `{"api_endpoints":[{"url":"${A}","priority":"0"}]}`, 'api_endpoints[0].priority'],
    ['a negative priority', `{"api_endpoints":[{"url":"${A}","priority":-1}]}`, 'priority'],
    ['a room that is a number', `{"api_url":"${A}","room_id":7}`, 'room_id'],
    [
      '65 endpoints',
      JSON.stringify({ api_endpoints: Array.from({ length: 65 }, (_, i) => `https://a${i}.example.com`) }),
      'at most 64',
    ],
    ['too long', `{"api_url":"${A}","x":"${'x'.repeat(8_000)}"}`, 'longer than'],
    ['one bad address among good ones', `{"api_endpoints":["${A}","ftp://a.example.com"]}`, 'api_endpoints[1]'],
  ])('that is %s is refused whole', (_what, text, message) => {
    expect(() => parseQr(text)).toThrow(message)
  })

  it('is read or refused, whatever it holds', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        try {
          parseQr(text)
        } catch (error) {
          expect(isOpsError(error, 'DATA_MISMATCH')).toBe(true)
        }
      }),
    )
  })

  it('names an endpoint twice only once', () => {
    expect(parseEndpointDocument({ api_endpoints: [A, `${A}/`, B] }, 'it').api).toEqual([
      { url: A, priority: 0 },
      { url: B, priority: 2 },
    ])
  })
})

describe('an address', () => {
  it.each([
    ['https://API.example.com/', 'https://api.example.com'],
    ['http://api.example.com:8080/api/v1/', 'http://api.example.com:8080/api/v1'],
    ['https://api.example.com:443', 'https://api.example.com'],
    ['https://192.0.2.1/api', 'https://192.0.2.1/api'],
    ['https://[2001:db8::1]:8443', 'https://[2001:db8::1]:8443'],
  ])('%s is %s', (text, url) => {
    expect(parseEndpointUrl(text, 'it')).toBe(url)
  })

  it.each([
    ['ftp://a.example.com', 'neither http nor https'],
    ['javascript:alert(1)', 'neither http nor https'],
    ['file:///etc/passwd', 'neither http nor https'],
    ['a.example.com', 'not a URL'],
    ['https://', 'not a URL'],
    ['https://joe:secret@a.example.com', 'user name'],
    ['https://joe@a.example.com', 'user name'],
    ['https://a.example.com?x=1', 'query'],
    ['https://a.example.com#x', 'fragment'],
    [`https://a.example.com/${'x'.repeat(3_000)}`, 'longer than'],
  ])('%s is refused', (text, message) => {
    expect(() => parseEndpointUrl(text, 'it')).toThrow(message)
  })

  it('is refused without telling the password in it', () => {
    expect(() => parseEndpointUrl('https://joe:hunter2@a.example.com', 'it')).toThrow(/^(?!.*hunter2)/)
  })

  it.each([
    'http://localhost',
    'http://localhost.',
    'http://x.localhost',
    'http://printer.local',
    'http://db.internal',
    'http://127.0.0.1',
    'http://127.1',
    'http://2130706433',
    'http://0x7f.1',
    'http://0',
    'http://10.0.0.1',
    'http://172.16.0.1',
    'http://172.31.255.255',
    'http://192.168.1.1',
    'http://169.254.169.254',
    'http://100.64.0.1',
    'http://224.0.0.1',
    'http://255.255.255.255',
    'http://[::1]',
    'http://[::]',
    'http://[fe80::1]',
    'http://[fd00::1]',
    'http://[::ffff:127.0.0.1]',
    'http://[::ffff:10.0.0.1]',
    'http://[64:ff9b::a00:1]',
    'http://[2002:a00:1::]',
    'http://[ff02::1]',
  ])('%s is private and needs leave', (url) => {
    expect(() => parseEndpointUrl(url, 'it')).toThrow('private address')
    expect(parseEndpointUrl(url, 'it', { allowPrivate: true })).toMatch(/^http:/)
  })

  it.each([
    'http://172.15.0.1',
    'http://172.32.0.1',
    'http://100.128.0.1',
    'http://[2001:db8::1]',
    'http://[::ffff:192.0.2.1]',
    'http://192.0.2.1',
    'http://notlocal.example.com',
  ])('%s is public', (url) => {
    expect(parseEndpointUrl(url, 'it')).toMatch(/^http:/)
  })

  it.each([
    ['https://api.example.com', 'https://api.example.com/api/v1/config/endpoints'],
    ['https://api.example.com/api/v2', 'https://api.example.com/api/v2/config/endpoints'],
    ['https://api.example.com/my/config/endpoints', 'https://api.example.com/my/config/endpoints'],
  ])('%s has its list at %s', (source, address) => {
    expect(listAddressOf(source)).toBe(address)
  })
})

describe('kept lists', () => {
  const initial = [{ url: A, priority: 0 }]
  const at = { at: 5, from: 'x' }

  it('are those of the program until one is fetched', () => {
    expect(entriesOf(NO_LISTS.api, initial)).toEqual([{ url: A, priority: 0, source: 'initial' }])
    const fetched = replaceLists(NO_LISTS, { api: [{ url: B, priority: 0 }] }, at)
    expect(entriesOf(fetched.api, initial)).toEqual([{ url: B, priority: 0, source: 'list' }])
  })

  it('keep what was added by hand, whatever is fetched', () => {
    const added = addEndpoint(NO_LISTS, 'api', { url: A, priority: 9 })
    const fetched = replaceLists(
      added,
      {
        api: [
          { url: B, priority: 3 },
          { url: A, priority: 0 },
        ],
      },
      at,
    )
    expect(entriesOf(fetched.api, initial)).toEqual([
      { url: B, priority: 3, source: 'list' },
      { url: A, priority: 9, source: 'manual' },
    ])
  })

  it('keep a kind that a new list does not name', () => {
    const before = replaceLists(NO_LISTS, { socketio: [{ url: S, priority: 0 }] }, at)
    expect(replaceLists(before, { api: [{ url: A, priority: 0 }], socketio: [] }, at).socketio.list).toEqual([
      { url: S, priority: 0 },
    ])
  })

  it('may lose an endpoint of the program, for good', () => {
    expect(entriesOf(removeEndpoint(NO_LISTS, 'api', { url: A, initial }).api, initial)).toEqual([])
  })

  it('read back as they were written', () => {
    const lists = addEndpoint(replaceLists(NO_LISTS, { api: [{ url: B, priority: 3 }] }, at), 'socketio', {
      url: S,
      priority: 1,
    })
    expect(parseLists(formatLists(lists), {})).toEqual(lists)
  })
})
