/** Which records are looked for, by name: one list for the local reader and the remote one. */

export const RECORD_FILES = ['/proc/uptime', '/proc/stat', '/proc/vmstat'] as const

export const SYSTEMD = '/run/systemd/system'
export const TIMESYNCD = '/run/systemd/timesync/synchronized'
/** Signs that a time service runs. */
export const CHRONYD = [
  '/run/chrony/chronyd.pid',
  '/run/chrony/chronyd.sock',
  '/run/chronyd.pid',
  '/var/run/chronyd.pid',
] as const
export const NTPD = ['/run/ntpd.pid', '/var/run/ntpd.pid', '/run/ntp/ntpd.pid'] as const
export const RECORD_MARKERS = [SYSTEMD, TIMESYNCD] as const

/** Log files, best first: the first that exists is read. Kernel messages are in the first two as well. */
export const LOG_FILES = ['/var/log/syslog', '/var/log/messages', '/var/log/kern.log'] as const

export const SYSTEMCTL = ['systemctl', '--failed', '--plain', '--no-legend', '--no-pager'] as const
/** Newest 3,000 entries at priority error or worse; `-q` would hide the hint that others' entries are not shown. */
export const JOURNALCTL = [
  'journalctl',
  '-p',
  '3',
  '--since=-24h',
  '-o',
  'short-iso',
  '--no-pager',
  '-n',
  '3000',
] as const
export const CHRONYC = ['chronyc', '-c', '-n', 'tracking'] as const
export const NTPQ = ['ntpq', '-c', 'rv 0 leap,stratum,offset'] as const
export const TIMEDATECTL = ['timedatectl', 'show', '--property=NTPSynchronized'] as const
