/** A compose project whose files are restored: it runs as the backup says, or what was there comes back. */
import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { BUSYBOX_IMAGE, startDocker, type DockerEngine } from '../../support/docker.ts'
import { tempDir } from '../../support/temp.ts'
import { act, failureOf, makeContext } from '../context.ts'

const execute = promisify(execFile)
let engine: DockerEngine

beforeAll(async () => {
  engine = await startDocker()
})
afterAll(() => engine?.stop())

const project = (seconds: string, more = '') =>
  `version: '2.4'\nservices:\n  app:\n    image: ${BUSYBOX_IMAGE}\n    command: [sleep, '${seconds}']\n    network_mode: none\n    stop_signal: SIGKILL\n${more}`

it('is started with what was restored; when it cannot be, the old files come back and it runs with them', async () => {
  const dir = await tempDir('compose')
  const before = process.env['DOCKER_HOST']
  process.env['DOCKER_HOST'] = `unix://${engine.socketPath}`
  onTestFinished(() => {
    if (before === undefined) delete process.env['DOCKER_HOST']
    else process.env['DOCKER_HOST'] = before
  })
  const [home, file] = [join(dir, 'shop'), join(dir, 'shop/docker-compose.yml')]
  await mkdir(home)
  await writeFile(join(home, '.env'), 'A=1\n')
  const compose = async (...args: string[]) => execute('docker-compose', ['-f', file, ...args])
  const running = () => engine.docker('ps', '--no-trunc', '--format', '{{.Command}}')
  const context = await makeContext({
    config: {
      backup: { repository: join(dir, 'repository'), config: { shop: { paths: [home], compose_file: file } } },
    },
    stateDir: join(dir, 'state'),
  })

  await writeFile(file, project('1001'))
  await compose('up', '-d')
  await act(context, 'backup.config', { name: 'shop' })
  await writeFile(file, project('1002'))
  await compose('up', '-d')
  expect(await running()).toBe('"sleep 1002"')
  const { steps } = await act(context, 'restore.config', { backup: 'shop' })
  expect(await running()).toBe('"sleep 1001"')
  expect(steps.map(({ message }) => message)).toContain(`the compose project ${file} runs`)

  await writeFile(file, project('1003', '    no_such_key: true\n'))
  await act(context, 'backup.config', { name: 'shop' })
  await writeFile(file, project('1004'))
  expect(await failureOf(act(context, 'restore.config', { backup: 'shop' }))).toMatchObject({
    code: 'FAILED',
    message: expect.stringContaining('no_such_key') as string,
  })
  expect(await readFile(file, 'utf8')).toBe(project('1004'))
  expect(await running()).toBe('"sleep 1004"')
})
