/**
 * nginx.config: does `nginx -t` accept the configuration on disk?
 *
 * As every unit file's ExecStartPre does, `nginx -t` creates missing log files, temp directories and an empty pid file
 * (docs/decisions/023-nginx-config-test.md). It also resolves host names, so it has a deadline of its own.
 */
import type { HostReader } from '../../../host/types.ts'
import type { CheckFinding } from '../../types.ts'
import { quoteArgv, type Argv } from '../../../core/quote.ts'
import { redactText } from '../../../core/redact.ts'

export interface NginxConfigTest {
  readonly argv: Argv
  readonly exitCode: number
  readonly stderr: string
}

export interface NginxConfigQuestion {
  readonly binary: string
  readonly config: string
  /** The `-p` that the running master was given; relative names depend on it. */
  readonly prefix: string | undefined
}

interface ConfigMessage {
  readonly level: string
  readonly text: string
}

const CHECK = 'nginx.config'
const MAX_LINES = 10

/** EACCES in nginx's own notation of a system error: the number, not the translated text. */
const NOT_PERMITTED = /\(13: /

export async function readNginxConfigTest(
  host: HostReader,
  { binary, config, prefix }: NginxConfigQuestion,
  options: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<NginxConfigTest> {
  const argv: Argv = [binary, '-t', '-c', config, ...(prefix === undefined ? [] : ['-p', prefix])]
  const { exitCode, stderr } = await host.read(argv, { ...options, maxOutputBytes: 256 * 1024 })
  return { argv, exitCode, stderr: redactText(stderr) }
}

/** @param asRoot whether the test ran as root; without, a refusal to open a file says nothing about the configuration */
export function decideNginxConfig({ argv, exitCode, stderr }: NginxConfigTest, asRoot: boolean): CheckFinding[] {
  const messages = parseConfigTest(stderr)
  const errors = messages.filter(({ level }) => level !== 'warn' && level !== 'notice')
  const warnings = messages.filter(({ level }) => level === 'warn')
  const next = quoteArgv(argv)
  const lines = [...errors, ...warnings].slice(0, MAX_LINES).map(({ level, text }) => `[${level}] ${text}`)
  if (exitCode !== 0 && !asRoot && errors.every(({ text }) => NOT_PERMITTED.test(text))) {
    return [
      {
        check: CHECK,
        severity: 'skipped',
        title: 'nginx -t was skipped, because it needs root here',
        ...(errors[0] && { evidence: errors[0].text }),
        next: `sudo ${next}`,
      },
    ]
  }
  if (exitCode !== 0) {
    return [
      {
        check: CHECK,
        severity: 'critical',
        title: 'nginx refuses its configuration',
        evidence: errors[0]?.text ?? `exit status ${exitCode}`,
        cause: 'the next reload changes nothing, and the next restart does not come up',
        next,
        ...(lines.length > 1 && { lines }),
      },
    ]
  }
  const relevant = asRoot ? warnings : warnings.filter(({ text }) => !text.includes('super-user privileges'))
  if (relevant.length === 0) return [{ check: CHECK, severity: 'ok', title: 'nginx accepts its configuration' }]
  return [
    {
      check: CHECK,
      severity: 'warning',
      title: 'nginx accepts its configuration, but warns about it',
      evidence: relevant[0]?.text ?? '',
      next,
      ...(relevant.length > 1 && { lines }),
    },
  ]
}

/** `nginx: [emerg] unknown directive "x" in /etc/nginx/nginx.conf:3`, one per line; other lines are left out. */
function parseConfigTest(stderr: string): ConfigMessage[] {
  return [...stderr.matchAll(/^(?:nginx: |\S+ \S+ )\[(\w+)\] (?:\d+#\d+: )?(.*)$/gm)].map((match) => ({
    level: match[1] as string,
    text: match[2] as string,
  }))
}
