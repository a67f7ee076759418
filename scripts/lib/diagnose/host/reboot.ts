/**
 * Does the machine need a restart: because its package manager says so, or because a newer kernel is installed than the
 * one that runs.
 *
 * Source: update-notifier's /run/reboot-required (Debian, Ubuntu); installed kernels are the `vmlinuz-RELEASE` files of
 * /boot and the /lib/modules/RELEASE directories that hold a kernel of their own (Fedora, Arch). A directory with nothing
 * but left-over modules is no installed kernel. Only kernels of the running one's flavour are compared, and only where the
 * running one is itself installed: a container or a machine with a kernel from outside says nothing about itself here.
 */
import { printableLine } from '../../core/printable.ts'
import type { CheckFinding } from '../types.ts'
import type { Identity } from './identity.ts'

export interface RebootFacts {
  /** Text of /run/reboot-required.pkgs; undefined when no restart is asked for. */
  readonly asked?: string
  /** Releases of installed kernels. */
  readonly installed: readonly string[]
  /** Names in /lib/modules. */
  readonly modules: readonly string[]
}

export function decideReboot(
  { asked, installed, modules }: RebootFacts,
  { kernel, container, osFamily }: Pick<Identity, 'kernel' | 'container' | 'osFamily'>,
): CheckFinding {
  const check = 'host.reboot'
  const next = 'last reboot | head -3; systemctl reboot'
  if (container !== undefined) {
    return { check, severity: 'skipped', title: `the kernel belongs to the machine around this ${container} container` }
  }
  const newer = newestOf(installed, kernel)
  if (newer !== undefined) {
    return {
      check,
      severity: 'warning',
      title: 'a newer kernel waits for a restart',
      evidence: `running ${kernel}, installed ${printableLine(newer, 80)}`,
      next,
    }
  }
  if (asked !== undefined) {
    const packages = [...new Set(asked.split('\n').filter((name) => name !== ''))]
    const named = packages
      .slice(0, 8)
      .map((name) => printableLine(name, 60))
      .join(', ')
    return {
      check,
      severity: 'warning',
      title: 'an update waits for a restart',
      evidence: named === '' ? '/run/reboot-required exists' : `asked for by ${named}`,
      next,
    }
  }
  // Arch removes the running kernel's modules at once: nothing can be loaded any more until the restart.
  if (osFamily.includes('arch') && modules.length > 0 && !modules.includes(kernel)) {
    return {
      check,
      severity: 'warning',
      title: 'the modules of the running kernel are gone',
      evidence: `running ${kernel}, /lib/modules holds ${modules
        .slice(0, 4)
        .map((name) => printableLine(name, 60))
        .join(', ')}`,
      next,
    }
  }
  return { check, severity: 'ok', title: 'no restart is waiting', evidence: `running ${kernel}` }
}

/** @returns the newest installed kernel of the running one's flavour if it is newer and the running one is installed too */
export function newestOf(installed: readonly string[], running: string): string | undefined {
  if (!installed.includes(running)) return undefined
  const newest = installed
    .filter((release) => flavourOf(release) === flavourOf(running))
    .reduce((best, release) => (compareReleases(release, best) > 0 ? release : best), running)
  return newest === running ? undefined : newest
}

/** The words of a release without its numbers: `6.1.0-18-cloud-amd64` and `6.1.0-21-cloud-amd64` are one flavour. */
function flavourOf(release: string): string {
  return release
    .split(/[^A-Za-z]+/)
    .filter((word) => word !== '' && !/^(?:el|fc|rc)$/.test(word))
    .join('-')
}

/** Number by number; a release candidate comes before its release. */
export function compareReleases(a: string, b: string): number {
  const [left, right] = [numbersOf(a), numbersOf(b)]
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function numbersOf(release: string): number[] {
  return (
    release.replace(/x86_64|amd64|i[36]86|aarch64|arm64|ppc64le|s390x|riscv64/g, '').match(/rc\d+|\d+/g) ?? []
  ).map((part) => (part.startsWith('rc') ? Number(part.slice(2)) - 1000 : Number(part)))
}
