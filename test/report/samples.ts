/** Reports to render: one machine in trouble, a fleet, a quiet machine, and one written by an attacker. */
import type { Finding, Report } from '../../scripts/lib/report/types.ts'

const STARTED_AT = Date.UTC(2026, 10, 20, 23, 25, 3)

const problems: readonly Finding[] = [
  {
    check: 'host.swap',
    host: 'web-1',
    severity: 'warning',
    title: 'memory is being swapped',
    evidence: '412 pages/s out, warning from 100 pages/s',
    cause: 'postgres grew by 1.4 GiB within the last hour',
    next: 'ps -eo pid,rss,comm --sort=-rss | head',
    measures: [{ label: 'swap out', value: 412, warn: '~:100', crit: '~:2000', min: 0 }],
  },
  {
    check: 'host.disk',
    subject: '/var',
    host: 'web-1',
    severity: 'critical',
    title: '/var is almost full',
    evidence: '97 % used, critical from 95 %',
    cause:
      'logrotate has not finished since 2026-11-02, and /var/log/nginx/access.log alone holds 41 GiB of the 50 GiB',
    next: 'du -xh --max-depth=1 /var | sort -h | tail',
    runbook: { id: 'disk-full', params: { host: 'web-1', mount: '/var' } },
    lines: [
      'Nov 20 03:12:01 web-1 logrotate[812]: error: stat of /var/log/app/*.log failed: No such file or directory',
      'Nov 20 03:12:01 web-1 systemd[1]: logrotate.service: Failed with result exit-code.',
    ],
    measures: [{ label: 'used', value: 97, unit: '%', warn: '~:85', crit: '~:95', min: 0, max: 100 }],
    durationMs: 4,
  },
  {
    check: 'container.health',
    subject: '订单服务',
    host: 'web-1',
    severity: 'critical',
    title: '容器“订单服务”健康检查连续失败，已重启 12 次',
    evidence: '12 restarts, critical from 10 restarts',
    next: 'docker logs --tail 50 订单服务',
    runbook: { id: 'backend-down', params: { host: 'web-1', container: '订单服务' } },
    lines: ['java.lang.OutOfMemoryError: Java heap space', '\tat com.example.Order.load(Order.java:88)'],
    measures: [{ label: 'restarts', value: 12, unit: 'c', warn: '~:3', crit: '~:10' }],
  },
  {
    check: 'network.dns',
    subject: 'api.example.com',
    host: 'web-1',
    severity: 'unknown',
    title: 'the name server gave no answer',
    evidence: 'no answer within 2 s',
    next: 'dig @192.0.2.53 api.example.com',
  },
]

function passing(host: string): Finding[] {
  const ok = (check: string, title: string, more: Partial<Finding> = {}): Finding => ({
    check,
    host,
    severity: 'ok',
    title,
    ...more,
  })
  return [
    ok('host.load', 'load is normal', { evidence: '0.42 per core, warning from 1.5', durationMs: 3 }),
    ok('host.cpu', 'CPU is mostly idle', {
      evidence: '7 % busy, warning from 90 %',
      durationMs: 251,
      measures: [{ label: 'busy', value: 7.25, unit: '%', warn: '~:90', crit: '~:98', min: 0, max: 100 }],
    }),
    ok('host.disk', '/ has room', {
      subject: '/',
      evidence: '41 % used, warning from 85 %',
      measures: [{ label: 'used', value: 41, unit: '%', warn: '~:85', crit: '~:95', min: 0, max: 100 }],
    }),
    ok('host.disk', '/srv/数据 has room', {
      subject: '/srv/数据',
      evidence: '12 % used, warning from 85 %',
      measures: [{ label: 'used', value: 12, unit: '%', warn: '~:85', crit: '~:95', min: 0, max: 100 }],
    }),
    ok('network.gateway', 'the gateway answers', { evidence: '0.4 ms', durationMs: 12 }),
    ok('nginx.config', 'nginx -t accepts the configuration', { durationMs: 31 }),
  ]
}

function skipped(host: string): Finding[] {
  return [
    {
      check: 'host.units',
      host,
      severity: 'skipped',
      title: 'no failed-unit check',
      evidence: 'systemd is not running',
    },
    { check: 'host.journal', host, severity: 'skipped', title: 'no journal', evidence: 'systemd is not running' },
    { check: 'database.lag', host, severity: 'skipped', title: 'no database is configured' },
  ]
}

/** One machine with every kind of finding, Chinese text among them. */
export function troubledReport(): Report {
  return {
    title: 'Diagnosis of web-1',
    findings: [...passing('web-1'), ...problems, ...skipped('web-1')],
    facts: {
      'web-1': [
        ['system', 'Debian 12, kernel 6.18.0'],
        ['uptime', '12 d 4 h'],
        ['CPU', '2 cores, load 0.84'],
        ['memory', '3.1 of 3.8 GiB used'],
        ['addresses', '192.0.2.11, 2001:db8::11'],
      ],
    },
    tables: [
      {
        title: 'Containers',
        columns: ['name', 'state', 'restarts', 'memory', 'image'],
        rows: [
          ['订单服务', 'unhealthy', '12', '1.5 GiB', 'registry.example.com/shop/orders:2026.11.3'],
          ['web', 'running', '0', '88 MiB', 'nginx:1.27'],
        ],
      },
    ],
    changes: {
      since: '2026-11-19 23:25:00 UTC',
      list: [
        {
          host: 'web-1',
          check: 'host.disk',
          subject: '/var',
          was: 'ok',
          is: 'critical',
          title: '/var is almost full',
        },
        { host: 'web-1', check: 'nginx.errors', was: 'warning', is: 'absent', title: 'errors in the nginx log' },
      ],
    },
    startedAt: STARTED_AT,
    durationMs: 612,
  }
}

/** Several hosts, the worst last in the input; one of them could not be reached. */
export function fleetReport(hosts = ['web-2', 'db-1', 'web-1']): Report {
  const unreachable: Finding = {
    check: 'host.reach',
    host: 'db-1',
    severity: 'critical',
    title: 'the host cannot be reached',
    evidence: 'no SSH answer within 5 s',
    next: 'ping -c 3 db-1.example.com',
  }
  return {
    title: `Diagnosis of ${hosts.length} hosts`,
    findings: hosts.flatMap((host) => {
      if (host === 'db-1') return [unreachable]
      return [...passing(host), ...(host === 'web-1' ? problems : []), ...skipped(host)]
    }),
    facts: Object.fromEntries(hosts.filter((host) => host !== 'db-1').map((host) => [host, [['uptime', '12 d 4 h']]])),
    startedAt: STARTED_AT,
    durationMs: 2_140,
  }
}

export function quietReport(): Report {
  return {
    title: 'Diagnosis of web-2',
    findings: [...passing('web-2'), ...skipped('web-2')],
    facts: { 'web-2': [['uptime', '12 d 4 h']] },
    startedAt: STARTED_AT,
    durationMs: 380,
  }
}

export function emptyReport(): Report {
  return { title: 'Diagnosis of nothing', findings: [], startedAt: STARTED_AT, durationMs: 0 }
}
