/** Which channels an alert goes to, each with the reason. Quiet hours only delay, so they are not asked here. */
import type { ChannelConfig, NotifyConfig, NotifySeverity } from '../config/types.ts'
import { atLeast } from './severity.ts'

export interface Routed {
  readonly channel: string
  readonly because: string
}

export interface RouteFacts {
  readonly severity: NotifySeverity
  readonly tags: readonly string[]
}

/** @returns the channels in the order of the config; empty, with `because`, when nobody is to be told */
export function decideRoutes(
  { enabled, channels, routes, default: others, min_severity: least }: NotifyConfig,
  { severity, tags }: RouteFacts,
): { readonly routed: readonly Routed[]; readonly because: string } {
  const none = (because: string) => ({ routed: [], because })
  if (!enabled) return none('notify.enabled is false')
  const names = Object.keys(channels)
  if (names.length === 0) return none('no channel is configured')
  const fitting = routes.filter(
    (route) => route.tags.some((tag) => tags.includes(tag)) && atLeast(severity, route.min_severity ?? 'info'),
  )
  const wanted = fitting.length > 0 ? fitting.flatMap((route) => route.channels) : (others ?? names)
  const why = fitting.length > 0 ? 'a route for its tags' : others ? 'notify.default' : 'every channel gets it'
  const routed = names.flatMap((name) => {
    const channel = channels[name] as ChannelConfig
    if (!wanted.includes(name) || !channel.enabled) return []
    return atLeast(severity, channel.min_severity ?? least) ? [{ channel: name, because: why }] : []
  })
  return routed.length > 0
    ? { routed, because: why }
    : none(`${severity} is below what the channels take, or they are off`)
}
