/** One door to machines: this one, those over SSH, and containers. */
export { createHosts, type HostsOptions } from './hosts.ts'
export { openLocalHost, type LocalHostOptions } from './local.ts'
export { openSshHost, type SshHostOptions } from './ssh/host.ts'
export { openContainerHost, type ContainerHostOptions } from './container/host.ts'
export { openDocker, type DockerOptions } from './container/docker.ts'
export type * from './types.ts'
