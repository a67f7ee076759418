/**
 * Does TCP lose data, and do listening programs accept too slowly.
 *
 * Source: RFC 4022 (tcpOutSegs, tcpRetransSegs), kernel net/ipv4/tcp_input.c (ListenOverflows: the accept queue was full;
 * ListenDrops: a new connection was dropped for that or any other reason). Shares are judged over the window, and only
 * with enough segments: one lost of two is not 50 % loss. Counts since boot are shown, not judged.
 */
import type { Thresholds } from '../../config/types.ts'
import type { CheckFinding } from '../types.ts'
import { growth, parseHeadedNumbers } from './counters.ts'
import { count, judge, limitText, measure, percent } from './judge.ts'

export interface TcpFacts {
  readonly sent: number
  readonly retransmitted: number
  readonly listenOverflows: number
  readonly listenDrops: number
  /** The same, since the machine (or its network name space) came up. */
  readonly sinceBoot: {
    readonly sent: number
    readonly retransmitted: number
    readonly listenOverflows: number
    readonly listenDrops: number
  }
}

export interface TcpTexts {
  /** /proc/net/snmp and /proc/net/netstat, one after the other. */
  readonly before: string
  readonly after: string
}

/** 3 % of fewer segments is less than three lost ones, which happens on any healthy link. */
const MIN_SEGMENTS = 100
const COUNTERS = {
  sent: 'Tcp.OutSegs',
  retransmitted: 'Tcp.RetransSegs',
  listenOverflows: 'TcpExt.ListenOverflows',
  listenDrops: 'TcpExt.ListenDrops',
} as const

/** @returns undefined when the kernel shows no TCP counters */
export function parseTcp({ before, after }: TcpTexts): TcpFacts | undefined {
  const [from, to] = [parseHeadedNumbers(before), parseHeadedNumbers(after)]
  if (!to.has(COUNTERS.sent)) return undefined
  const grown = (name: keyof typeof COUNTERS) => growth(from.get(COUNTERS[name]), to.get(COUNTERS[name]))
  const ever = (name: keyof typeof COUNTERS) => to.get(COUNTERS[name]) ?? 0
  const all = (look: (name: keyof typeof COUNTERS) => number) => ({
    sent: look('sent'),
    retransmitted: look('retransmitted'),
    listenOverflows: look('listenOverflows'),
    listenDrops: look('listenDrops'),
  })
  return { ...all(grown), sinceBoot: all(ever) }
}

export function decideTcp(tcp: TcpFacts | undefined, thresholds: Thresholds): CheckFinding[] {
  if (!tcp) return [{ check: 'host.tcp', severity: 'skipped', title: 'the kernel shows no TCP counters here' }]
  return [decideRetransmits(tcp, thresholds), decideListen(tcp)]
}

function decideRetransmits({ sent, retransmitted, sinceBoot }: TcpFacts, thresholds: Thresholds): CheckFinding {
  const threshold = thresholds.tcp_retransmit_percent
  const enough = sent >= MIN_SEGMENTS
  const ratio = sent > 0 ? retransmitted / sent : 0
  const severity = enough ? judge(ratio * 100, threshold) : 'ok'
  const ever = sinceBoot.sent > 0 ? `; since boot ${percent(sinceBoot.retransmitted / sinceBoot.sent)}` : ''
  const judged = enough
    ? `${percent(ratio)}, ${limitText(severity, threshold, ' %')}`
    : `too few to judge, which takes ${MIN_SEGMENTS}`
  return {
    check: 'host.tcp',
    subject: 'retransmits',
    severity,
    title: severity === 'ok' ? 'TCP loses little' : 'TCP has to send much again',
    evidence: `${retransmitted} of ${count(sent, 'segment')} sent again in the window (${judged})${ever}`,
    ...(severity !== 'ok' && {
      cause: 'packet loss on the way, or a saturated link',
      next: "ss -tin state established | grep -B1 'retrans:' | head -40; ip -s link",
    }),
    measures: enough ? [measure('tcp_retransmit', ratio * 100, { unit: '%', threshold, max: 100 })] : [],
  }
}

function decideListen({ listenDrops, listenOverflows, sinceBoot }: TcpFacts): CheckFinding {
  const dropping = listenDrops > 0 || listenOverflows > 0
  return {
    check: 'host.tcp',
    subject: 'listen',
    severity: dropping ? 'warning' : 'ok',
    title: dropping ? 'new connections are being dropped' : 'no new connection was dropped',
    evidence:
      `in the window ${count(listenDrops, 'drop')} and ${count(listenOverflows, 'overflow')} of an accept queue, warning from 1; ` +
      `since boot ${sinceBoot.listenDrops} and ${sinceBoot.listenOverflows}`,
    ...(dropping && {
      cause: 'a program accepts connections too slowly, or its backlog is too short',
      next: "ss -ltn | awk 'NR == 1 || $2 > 0'",
    }),
    measures: [
      measure('listen_drops', sinceBoot.listenDrops, { unit: 'c' }),
      measure('listen_overflows', sinceBoot.listenOverflows, { unit: 'c' }),
    ],
  }
}
