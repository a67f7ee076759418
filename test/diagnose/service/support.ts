/** What the service tests share: a configuration with defaults, and a context around a host. */
import { open } from 'node:fs/promises'
import { configSchema } from '../../../scripts/lib/config/schema/index.ts'
import { systemClock, type Clock } from '../../../scripts/lib/core/clock.ts'
import type { CheckContext } from '../../../scripts/lib/diagnose/types.ts'
import type { Host, HostReader } from '../../../scripts/lib/host/types.ts'

/** @param diagnose the `diagnose:` section as it would stand in the file */
export function contextOf(host: HostReader, diagnose: object = {}, clock: Clock = systemClock): CheckContext {
  const config = configSchema.parse({ diagnose })
  const signal = AbortSignal.timeout(20_000)
  const resolveSecret = () => Promise.reject(new Error('no secret is expected'))
  const base = { host: host as Host, name: host.name, clock, signal, timeoutMs: 15_000, resolveSecret }
  return { ...base, config, settings: config.diagnose }
}

/** A reader of this machine's files that counts the bytes it hands over; commands are refused. */
export function createCountingReader(): HostReader & { bytesRead: () => number } {
  let total = 0
  return {
    name: 'localhost',
    kind: 'local',
    bytesRead: () => total,
    read: (argv) => Promise.reject(new Error(`not expected: ${argv.join(' ')}`)),
    get: async (path, { maxBytes = Number.MAX_SAFE_INTEGER } = {}) => {
      const file = await open(path).catch(() => undefined)
      if (!file) return undefined
      const { size } = await file.stat()
      const length = Math.min(size, maxBytes)
      const buffer = Buffer.alloc(length)
      await file.read(buffer, 0, length, size - length)
      await file.close()
      total += length
      return buffer
    },
  }
}
