/** Whether a server can take what another version of it dumped. */
import { OpsError } from '../../core/errors.ts'
import type { Manifest } from '../types.ts'

export interface ServerVersion {
  readonly family: NonNullable<Manifest['server']>['family']
  readonly version: string
}

/** How many numbers of a version make a series: dumps load within it. PostgreSQL: 15; MariaDB, MySQL: 10.11. */
const SERIES: Readonly<Record<ServerVersion['family'], number>> = { mariadb: 2, mysql: 2, postgresql: 1, sqlite: 1 }

/** @throws OpsError FAILED with the reason, for a dump of a newer series or another family */
export function refuseNewer(dumped: Manifest['server'], server: ServerVersion, host: string): void {
  if (!dumped) return
  if (dumped.family !== server.family) {
    throw new OpsError('FAILED', `the backup is of ${dumped.family}, the server on ${host} is ${server.family}`, {
      host,
      hint: `Restore it into a server of ${dumped.family}.`,
    })
  }
  if (compareSeries(dumped.version, server.version, SERIES[server.family]) <= 0) return
  throw new OpsError(
    'FAILED',
    `the backup is of ${dumped.family} ${dumped.version}, newer than ${server.version} on ${host}: an older server does not know everything in it`,
    { host, hint: `Restore it into ${dumped.family} ${dumped.version} or newer.` },
  )
}

/** @returns negative when `a` is older than `b`, looking at the first `numbers` of each */
export function compareSeries(a: string, b: string, numbers: number): number {
  const parts = (version: string) => (version.match(/\d+/g) ?? []).map(Number)
  const [first, second] = [parts(a), parts(b)]
  for (let index = 0; index < numbers; index += 1) {
    const difference = (first[index] ?? 0) - (second[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
