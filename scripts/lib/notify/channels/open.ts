/** From a channel of the config to one that sends. Each kind is loaded when it is used. */
import type { ChannelConfig, SecretRef } from '../../config/types.ts'
import type { Clock } from '../../core/clock.ts'
import type { Secret } from '../../core/secret.ts'
import type { Journal } from '../../journal/types.ts'
import type { Channel } from '../types.ts'

export interface ChannelParts {
  readonly name: string
  readonly clock: Clock
  /** Where it is kept which servers failed; undefined: every server is tried anew. */
  readonly journal: Journal | undefined
  readonly resolveSecret: (ref: SecretRef) => Promise<Secret>
  /** Takes a line for standard output. */
  readonly print: (line: string) => void
}

export async function openChannel(channel: ChannelConfig, parts: ChannelParts): Promise<Channel> {
  switch (channel.type) {
    case 'log':
      return (await import('./log.ts')).openLogChannel(channel, parts)
    case 'email':
      return (await import('./email.ts')).openEmailChannel(channel, parts)
    case 'system':
      return (await import('./system.ts')).openSystemChannel(channel)
    default:
      return (await import('./web.ts')).openWebChannel(channel, parts)
  }
}
