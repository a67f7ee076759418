/** A file or standard output: one JSON document a line, for programs that follow it. */
import { appendFile } from 'node:fs/promises'
import type { LogChannel } from '../../config/types.ts'
import { systemCode } from '../../core/errors.ts'
import { DeliveryError } from '../delivery-error.ts'
import { documentOf } from '../render/document.ts'
import type { Channel } from '../types.ts'
import type { ChannelParts } from './open.ts'

/** The file is opened for each line, so that logrotate may move it away at any time. */
export function openLogChannel({ file }: LogChannel, { print }: ChannelParts): Channel {
  return {
    concurrency: 1,
    async send(message) {
      const line = JSON.stringify(documentOf(message))
      if (file === undefined) {
        print(line)
        return { answer: 'printed' }
      }
      try {
        await appendFile(file, `${line}\n`, { mode: 0o640, flush: true })
        return { answer: `added to ${file}` }
      } catch (error) {
        throw new DeliveryError(`cannot write ${file}: ${systemCode(error) ?? 'failed'}`, {
          transient: true,
          scope: 'channel',
          hint: `Make ${file} writable, or name another file.`,
          cause: error,
        })
      }
    },
    close: async () => undefined,
  }
}
