/**
 * Files to a published, checksummed backup, beside `tar | zstd -T0 -3` and restic on the same data in the same run.
 * `BENCH_FILES_MB=1000 BENCH_FILES=20000` is the full size; the default is a fifth of it.
 */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FileIndex } from '../../scripts/lib/backup/files/facts.ts'
import { readIndex } from '../../scripts/lib/backup/files/read-index.ts'
import { backUpFiles } from '../../scripts/lib/backup/files/source.ts'
import { openRepository } from '../../scripts/lib/backup/repository/open.ts'
import type { BackupEntry } from '../../scripts/lib/backup/types.ts'
import { silentProgress } from '../../scripts/lib/core/progress.ts'
import { openLocalHost } from '../../scripts/lib/host/local.ts'
import type { BenchRow } from './types.ts'

const TOTAL_MB = Number(process.env['BENCH_FILES_MB'] ?? 200)
const FILES = Number(process.env['BENCH_FILES'] ?? 4_000)
const ROUNDS = 3

export async function bench(): Promise<BenchRow[]> {
  const dir = await mkdtemp(join(tmpdir(), 'opskit-bench-files-'))
  try {
    return await measure(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function measure(dir: string): Promise<BenchRow[]> {
  const tree = join(dir, 'tree')
  makeTree(tree)
  const times: Record<string, number[]> = {}
  const time = async <T>(name: string, work: () => T | Promise<T>): Promise<T> => {
    const startedAt = performance.now()
    const value = await work()
    times[name] = [...(times[name] ?? []), (performance.now() - startedAt) / 1000]
    return value
  }
  const run = (script: string) =>
    execFileSync('bash', ['-euo', 'pipefail', '-c', script], { stdio: 'pipe', env: resticEnv(dir) })
  // Once unmeasured: everything in the page cache for all of them alike.
  run(`tar -C ${tree} -cf - . | cat > /dev/null`)
  for (let round = 0; round < ROUNDS; round += 1) {
    const [repository, restic] = [join(dir, `repository-${round}`), join(dir, `restic-${round}`)]
    // Into new files, as ours are: one that is written over is slower.
    const pack = (file: string) => `tar -C ${tree} -cf - . | zstd -T0 -3 -q -o ${file}`
    const [plain, synced] = [join(dir, `plain-${round}.zst`), join(dir, `synced-${round}.zst`)]
    await time('tar', () => run(pack(plain)))
    await time('tar+', () => run(`${pack(synced)}; sha256sum ${synced}; sync ${synced}`))
    rmSync(plain)
    rmSync(synced)
    const full = await time('ours', () => backUp(repository, tree))
    run(`restic -q -r ${restic} init`)
    await time('restic', () => run(`restic -q -r ${restic} backup ${tree}`))
    changeOnePercent(tree, round)
    await time('ours 1 %', () => backUp(repository, tree, full))
    await time('restic 1 %', () => run(`restic -q -r ${restic} backup ${tree}`))
    rmSync(repository, { recursive: true })
    rmSync(restic, { recursive: true })
  }
  return [...rowsOf(times), memoryRow(dir, tree)]
}

/** Of a process that does nothing else. */
function memoryRow(dir: string, tree: string): BenchRow {
  const script = `import { backUp } from ${JSON.stringify(import.meta.url)}
await backUp(${JSON.stringify(join(dir, 'memory'))}, ${JSON.stringify(tree)})
console.log(process.resourceUsage().maxRSS / 1024)`
  const memory = Number(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }))
  return { name: 'memory at most', ours: memory, unit: 'MiB', target: 150, met: memory <= 150 }
}

function rowsOf(times: Readonly<Record<string, readonly number[]>>): BenchRow[] {
  const of = (name: string) => [...(times[name] ?? [])].sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? Number.NaN
  const row = (name: string, ours: string, peer: string, target?: number): BenchRow => {
    const ratio = of(ours) / of(peer)
    return {
      name,
      ours: of(ours),
      peer: of(peer),
      unit: 's',
      ratio,
      ...(target && { target, isRatio: true }),
      met: !target || ratio <= target,
    }
  }
  return [
    row(`${TOTAL_MB} MB in ${FILES} files : tar | zstd -T0 -3`, 'ours', 'tar', 1.1),
    row('the same : tar | zstd -T0 -3, sha256sum, sync', 'ours', 'tar+', 1.1),
    row('the same : restic, first run', 'ours', 'restic', 0.45),
    row('1 % changed : restic', 'ours 1 %', 'restic 1 %', 0.4),
  ]
}

/** One backup as a run makes it, without journal and hooks. */
export async function backUp(repositoryPath: string, tree: string, full?: BackupEntry): Promise<BackupEntry> {
  const repository = openRepository(repositoryPath)
  const staging = await repository.stage('static', 'bench')
  const startedAt = new Date().toISOString()
  const base: { full?: { id: string; index: FileIndex } } = full
    ? { full: { id: full.id, index: await readIndex(full) } }
    : {}
  const result = await backUpFiles({
    ...{ what: 'static/bench', paths: [tree], exclude: [], host: openLocalHost(), stagingPath: staging.path },
    settings: { compression: { level: 3, threads: 0 }, recipients: [] },
    ...{ checksums: false, expectedBytes: 0, redact: (text) => text, progress: silentProgress },
    ...{ signal: new AbortController().signal, timeoutMs: 600_000 },
    ...base,
  })
  return staging.publish({
    ...{ schema: 1, id: staging.id, kind: 'static', name: 'bench', startedAt, finishedAt: startedAt, durationMs: 0 },
    ...{ host: 'bench', opskit: 'bench', compression: 'zstd', status: 'ok', ...result },
  })
}

/** About half of it cannot be compressed, as on a web server with pictures. */
function makeTree(tree: string): void {
  const text = Buffer.from('<div class="card"><p>lorem ipsum dolor sit amet</p></div>\n'.repeat(4_000))
  const [smallBytes, bigBytes] = [(TOTAL_MB * 0.55e6) / FILES, (TOTAL_MB * 0.45e6) / 6]
  const fill = (bytes: number, index: number) =>
    index % 2 === 0 ? text.subarray(0, bytes % text.length) : randomBytes(bytes)
  for (let index = 0; index < FILES; index += 1) {
    const directory = join(tree, `d${index % 100}`)
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, `f${index}`), fill(Math.round(smallBytes * (0.2 + (index % 9) / 5)), index))
  }
  for (let index = 0; index < 6; index += 1) {
    // By other processes: what is measured later is our memory.
    const bytes = Math.round(bigBytes / 64) * 64
    const from = index % 2 === 0 ? 'cat /dev/urandom' : "yes '<p>lorem ipsum dolor sit amet</p>'"
    execFileSync('sh', ['-c', `${from} | head -c ${bytes} > "$1"`, 'fill', join(tree, `big${index}`)])
  }
}

function changeOnePercent(tree: string, round: number): void {
  const directories = readdirSync(tree).filter((name) => name.startsWith('d'))
  for (let index = 0; index < FILES / 100; index += 1) {
    const directory = join(tree, directories[index % directories.length] ?? '')
    writeFileSync(join(directory, `f-new-${round}-${index}`), randomBytes(20_000))
  }
}

function resticEnv(dir: string): NodeJS.ProcessEnv {
  return { ...process.env, RESTIC_PASSWORD: 'bench', RESTIC_CACHE_DIR: join(dir, 'restic-cache') }
}
