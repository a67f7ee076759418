/**
 * What machine is this: the facts at the head of a report.
 *
 * Source: os-release(5), proc_uptime(5), systemd-detect-virt(1) for what gives a hypervisor or a container away. The files
 * that mark a container also stand in machines whose disk was made from a container image, so they are not believed where
 * kernel threads are in sight.
 */
import { printableLine } from '../../core/printable.ts'

export interface Identity {
  readonly hostname: string
  readonly os: string
  /** `ID` and `ID_LIKE` of os-release. */
  readonly osFamily: readonly string[]
  readonly kernel: string
  readonly uptimeSeconds: number
  readonly cpuModel?: string
  /** `docker`, `podman`, `lxc`, …, when this is a container. */
  readonly container?: string
  /** The vendor and product that the firmware names, or `yes` when only the CPU gives the hypervisor away. */
  readonly hypervisor?: string
}

export interface IdentityTexts {
  readonly hostname?: string | undefined
  readonly osRelease?: string | undefined
  readonly kernel?: string | undefined
  readonly uptime?: string | undefined
  /** The first CPU's part of /proc/cpuinfo is enough. */
  readonly cpuinfo?: string | undefined
  readonly vendor?: string | undefined
  readonly product?: string | undefined
  /** Content of /run/systemd/container. */
  readonly container?: string | undefined
  /** Which of the marker files exist. */
  readonly present: ReadonlySet<string>
  /** True when the kernel's own threads are visible: whatever the files say, this is the machine and no container. */
  readonly seesKernelThreads?: boolean
}

const VIRTUAL_VENDORS =
  /QEMU|KVM|VMware|VirtualBox|innotek|Xen|Bochs|Parallels|Amazon EC2|Google|Microsoft.*Virtual|OpenStack|Alibaba|Tencent|DigitalOcean|Hetzner|OVH|Nutanix|RHEV|oVirt|Cloud/i

export function parseIdentity(texts: IdentityTexts): Identity {
  const os = parseOsRelease(texts.osRelease ?? '')
  const model = /^(?:model name|Model|cpu model|Processor)\s*:\s*(.+)$/m.exec(texts.cpuinfo ?? '')?.[1]
  const container = containerOf(texts)
  const hypervisor = hypervisorOf(texts)
  return {
    hostname: printableLine(texts.hostname ?? '', 64) || '?',
    os: os.get('PRETTY_NAME') ?? os.get('NAME') ?? 'Linux',
    osFamily: `${os.get('ID') ?? ''} ${os.get('ID_LIKE') ?? ''}`.split(' ').filter((id) => id !== ''),
    kernel: printableLine(texts.kernel ?? '', 80) || '?',
    uptimeSeconds: Number.parseFloat(texts.uptime ?? '') || 0,
    ...(model !== undefined && { cpuModel: printableLine(model, 80) }),
    ...(container !== undefined && { container }),
    ...(hypervisor !== undefined && { hypervisor }),
  }
}

/** `KEY=value` lines, with or without quotes. */
export function parseOsRelease(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>()
  for (const line of text.split('\n')) {
    const match = /^([A-Z_]+)=(?:"(.*)"|'(.*)'|(.*))$/.exec(line.trim())
    if (match?.[1] !== undefined) values.set(match[1], printableLine(match[2] ?? match[3] ?? match[4] ?? '', 100))
  }
  return values
}

function containerOf({ container, present, seesKernelThreads }: IdentityTexts): string | undefined {
  if (seesKernelThreads) return undefined
  if (container !== undefined && container.trim() !== '') return printableLine(container, 32)
  if (present.has('/.dockerenv')) return 'docker'
  return present.has('/run/.containerenv') ? 'podman' : undefined
}

function hypervisorOf({ vendor, product, cpuinfo }: IdentityTexts): string | undefined {
  const named = printableLine(`${vendor ?? ''} ${product ?? ''}`, 80)
  if (VIRTUAL_VENDORS.test(named)) return named
  return /^flags\s*:.*\bhypervisor\b/m.test(cpuinfo ?? '') ? 'yes' : undefined
}
