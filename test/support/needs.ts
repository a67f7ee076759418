/**
 * The programs that the tests start, where each comes from on Debian, and why it is needed. A server that is missing is
 * never a skipped test: prepare.ts installs it, or the run ends here with a list.
 */
import { accessSync, constants, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Need {
  /** Any one of them: a name on PATH, or an absolute path that may hold `*`. */
  readonly programs: readonly [string, ...string[]]
  readonly debianPackage: string
  readonly why: string
  /** Must run where there is no library at all. */
  readonly staticProgram?: boolean
}

export const NEEDS: readonly Need[] = [
  need('nginx', 'nginx', 'a real web server to diagnose and to edit'),
  need('sshd', 'openssh-server', 'a real second host'),
  need('ssh', 'openssh-client', 'client settings that have to mean the same to us'),
  need('ssh-keygen', 'openssh-client', 'host keys and known_hosts'),
  need('ssh-agent', 'openssh-client', 'keys that only an agent holds'),
  need('mariadbd', 'mariadb-server', 'a real database'),
  need('/usr/lib/postgresql/*/bin/postgres', 'postgresql', 'a real database'),
  need('dockerd', 'docker.io', 'real containers'),
  need('docker-compose', 'docker-compose', 'compose projects that are deployed anew, or started by a restore'),
  need('docker-registry', 'docker-registry', 'a registry to pull images from'),
  { ...need('busybox', 'busybox-static', 'what containers are made of, without a registry'), staticProgram: true },
  need('ip', 'iproute2', 'network namespaces and black holes'),
  need('nft', 'nftables', 'packet loss and dropped packets'),
  need('ping', 'iputils-ping', 'ICMP probes'),
  need('curl', 'curl', 'the client that shells use'),
  need('fping', 'fping', 'ICMP probes of many addresses in one child'),
  need('openssl', 'openssl', 'certificates that are valid, expired and mismatched'),
  need('sudo', 'sudo', 'commands as another user'),
  need('mkfs.ext4', 'e2fsprogs', 'file systems that run out of inodes'),
  need('unshare', 'util-linux', 'full and read-only disks that vanish with the test'),
  need('systemd-analyze', 'systemd', 'units as systemd reads them'),
  need('tmux', 'tmux', 'commands as an operator at a terminal sees them'),
  need('strace', 'strace', 'counting child processes'),
  need('zstd', 'zstd', 'the compressor of backups'),
  need('age', 'age', 'encrypted backups'),
  need('restic', 'restic', 'copies into a deduplicated repository'),
  need('sqlite3', 'sqlite3', 'SQLite files on other machines'),
  need('setfacl', 'acl', 'access lists that a restore keeps'),
  need('setfattr', 'attr', 'extended attributes that a restore keeps'),
  need('cmark-gfm', 'cmark-gfm', 'Markdown as a Git web page shows it'),
  need('/usr/lib/python3/dist-packages/fastapi', 'python3-fastapi', 'the reference server of endpoint lists'),
  need('/usr/lib/python3/dist-packages/uvicorn', 'python3-uvicorn', 'the reference server of endpoint lists'),
  {
    ...need('chromium', 'chromium', 'reports and pages as a browser shows them'),
    programs: ['chromium', 'google-chrome'],
  },
]

export interface Facts {
  readonly missing: readonly Need[]
  readonly isRoot: boolean
  /** apt-get is here and this is Debian or made from it. */
  readonly isDebian: boolean
}

export type Decision =
  | { readonly kind: 'ready' }
  | { readonly kind: 'install'; readonly packages: readonly string[]; readonly lines: readonly string[] }
  | { readonly kind: 'refuse'; readonly lines: readonly string[] }

/** What to do about what is missing, and what to say. */
export function decideInstall({ missing, isRoot, isDebian }: Facts): Decision {
  if (missing.length === 0) return { kind: 'ready' }
  const packages = [...new Set(missing.map(({ debianPackage }) => debianPackage))]
  const list = [
    'The tests need programs that this machine does not have:',
    ...missing.map(({ programs, debianPackage, why }) => `  ${programs[0]} (Debian package ${debianPackage}): ${why}`),
  ]
  if (isRoot && isDebian) {
    return { kind: 'install', packages, lines: [...list, `Installing with apt-get: ${packages.join(' ')}`] }
  }
  const how = isDebian
    ? `Install them: sudo apt-get install --no-install-recommends ${packages.join(' ')}`
    : 'Install them with the package manager of this system, or run the tests as root in a Debian container.'
  return { kind: 'refuse', lines: [...list, how, ...WITHOUT_SERVERS] }
}

export const WITHOUT_SERVERS = ['What needs no server runs with: npx vitest run --project unit']

/** @param path directories as in $PATH; those for administrators are searched too */
export function findMissing(needs: readonly Need[], path: string): Need[] {
  const dirs = [...path.split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin'].filter((dir) => dir !== '')
  return needs.filter(({ programs, staticProgram = false }) => {
    const found = programs.flatMap((program) => findProgram(program, dirs))
    return !found.some((file) => !staticProgram || isStatic(readFileSync(file)))
  })
}

/** True for an ELF file of 64 bits that asks for no dynamic loader: it has no PT_INTERP header (elf(5)). */
export function isStatic(elf: Uint8Array): boolean {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength)
  if (elf.length < 64 || view.getUint32(0) !== 0x7f454c46 || elf[4] !== 2) return false
  const little = elf[5] === 1
  const [start, size, count] = [
    Number(view.getBigUint64(32, little)),
    view.getUint16(54, little),
    view.getUint16(56, little),
  ]
  return !Array.from({ length: count }, (_, index) => view.getUint32(start + index * size, little)).includes(PT_INTERP)
}

const PT_INTERP = 3

function findProgram(program: string, dirs: readonly string[]): string[] {
  const candidates = program.startsWith('/') ? globSync(program) : dirs.map((dir) => join(dir, program))
  return candidates.filter((file) => {
    try {
      accessSync(file, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

function need(program: string, debianPackage: string, why: string): Need {
  return { programs: [program], debianPackage, why }
}
