/** A Unix socket that could not be reached, in the words of an operator. */
import { messageOf, OpsError, systemCode } from '../core/errors.ts'

export type SocketTrouble = 'missing' | 'denied' | 'refused' | 'forbidden' | 'refused-or-forbidden'

export function socketError(trouble: SocketTrouble, path: string, host: string, cause?: unknown): OpsError {
  switch (trouble) {
    case 'missing':
      return new OpsError('MISSING_TOOL', `there is no socket ${path} on ${host}`, {
        host,
        cause,
        hint: 'Is the engine installed and started? Name another socket in the config if it listens elsewhere.',
      })
    case 'denied':
      return new OpsError('NOT_PERMITTED', `the socket ${path} on ${host} may not be used by this user`, {
        host,
        cause,
        hint: `See who may: ls -l ${path} (for Docker: add the user to the group "docker").`,
      })
    case 'forbidden':
      return new OpsError('NOT_PERMITTED', `the SSH server of ${host} forbids forwarding to sockets`, {
        host,
        cause,
        hint: 'Set AllowStreamLocalForwarding yes (or local) in its sshd_config.',
      })
    case 'refused-or-forbidden':
      return new OpsError(
        'UNREACHABLE',
        `the SSH server of ${host} cannot connect to ${path}: nobody listens there, or it may not`,
        { host, cause, hint: 'Is the engine running? Does its sshd_config set AllowStreamLocalForwarding no?' },
      )
    case 'refused':
      return new OpsError('UNREACHABLE', `nobody listens on ${path} on ${host}`, {
        host,
        cause,
        transient: true,
        hint: 'Is the engine running?',
      })
  }
}

/** The trouble behind a Node system error; undefined when it is none of ours. */
export function troubleOf(error: unknown): SocketTrouble | undefined {
  switch (systemCode(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ENOTSOCK':
      return 'missing'
    case 'EACCES':
    case 'EPERM':
      return 'denied'
    case 'ECONNREFUSED':
      return 'refused'
    default:
      return undefined
  }
}

export function asSocketError(error: unknown, path: string, host: string): OpsError {
  const trouble = troubleOf(error)
  if (trouble) return socketError(trouble, path, host, error)
  return new OpsError('UNREACHABLE', `cannot use the socket ${path} on ${host}: ${messageOf(error)}`, {
    host,
    cause: error,
  })
}
