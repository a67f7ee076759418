/** The addresses of a name, in Node: what `EndpointOptions.lookup` takes. Browsers have nothing of the kind. */
import { lookup } from 'node:dns/promises'

/** As the system resolves it (hosts file, then DNS). @returns none when it has none: whoever connects then says why */
export async function lookupAll(hostname: string): Promise<readonly string[]> {
  const found = await lookup(hostname, { all: true }).catch(() => [])
  return found.map(({ address }) => address)
}
