import { describe, expect, it } from 'vitest'
import { parseIdentity } from '../../../scripts/lib/diagnose/host/identity.ts'
import { decideReboot, newestOf } from '../../../scripts/lib/diagnose/host/reboot.ts'

const NONE = { present: new Set<string>() }

describe('what machine it is', () => {
  it.each([
    ['Debian', 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n', 'Debian GNU/Linux 12 (bookworm)'],
    ['Alpine', "NAME='Alpine Linux'\nID=alpine\n", 'Alpine Linux'],
    ['a hostile name', 'PRETTY_NAME="\u001b[31mred"\n', '\\x1b[31mred'],
    ['nothing', undefined, 'Linux'],
  ])('reads os-release of %s', (_, osRelease, os) => {
    expect(parseIdentity({ ...NONE, osRelease }).os).toBe(os)
  })

  it.each([
    [
      'x86',
      'processor\t: 0\nmodel name\t: Example CPU @ 2.50GHz\nflags\t\t: fpu hypervisor lahf\n',
      'Example CPU @ 2.50GHz',
      'yes',
    ],
    ['ARM', 'processor\t: 0\nBogoMIPS\t: 108.00\nModel\t\t: Example Pi 4\n', 'Example Pi 4', undefined],
    ['ARM without a name', 'processor\t: 0\nFeatures\t: fp asimd\n', undefined, undefined],
  ])('reads cpuinfo of %s', (_, cpuinfo, cpuModel, hypervisor) => {
    const identity = parseIdentity({ ...NONE, cpuinfo })
    expect([identity.cpuModel, identity.hypervisor]).toEqual([cpuModel, hypervisor])
  })

  it.each([
    ['docker by its mark', { present: new Set(['/.dockerenv']) }, 'docker'],
    ['what systemd was told', { ...NONE, container: 'lxc\n' }, 'lxc'],
    ['a machine from a container image', { present: new Set(['/.dockerenv']), seesKernelThreads: true }, undefined],
    ['a machine', NONE, undefined],
  ])('knows %s', (_, texts, container) => {
    expect(parseIdentity(texts).container).toBe(container)
  })
})

describe('a restart', () => {
  const machine = { kernel: '6.1.0-18-amd64', osFamily: ['debian'] }

  it.each([
    ['Debian', '6.1.0-18-amd64', ['6.1.0-18-amd64', '6.1.0-21-amd64'], '6.1.0-21-amd64'],
    ['ten after nine', '5.15.0-9-generic', ['5.15.0-9-generic', '5.15.0-10-generic'], '5.15.0-10-generic'],
    [
      'RHEL',
      '5.14.0-362.8.1.el9_3.x86_64',
      ['5.14.0-362.8.1.el9_3.x86_64', '5.14.0-427.el9.x86_64'],
      '5.14.0-427.el9.x86_64',
    ],
    ['the newest runs', '6.1.0-21-amd64', ['6.1.0-18-amd64', '6.1.0-21-amd64'], undefined],
    ['another flavour', '6.1.0-18-amd64', ['6.1.0-18-amd64', '6.1.0-21-cloud-amd64'], undefined],
    ['a kernel from outside', '6.18.44-vm', ['6.1.0-21-amd64'], undefined],
    ['a release candidate of the same', '6.2.0-amd64', ['6.2.0-amd64', '6.2.0-rc3-amd64'], undefined],
    ['nothing installed', '6.1.0-18-amd64', [], undefined],
  ])('for a newer kernel: %s', (_, running, installed, newest) => {
    expect(newestOf(installed, running)).toBe(newest)
  })

  it.each([
    ['warning', 'a package asks', { asked: 'libc6\nlibc6\n', installed: [], modules: [] }, machine],
    [
      'warning',
      'the modules of a running Arch kernel are gone',
      { installed: [], modules: ['6.9.2-arch1-1'] },
      { kernel: '6.9.1-arch1-1', osFamily: ['arch'] },
    ],
    ['ok', 'nothing asks', { installed: [], modules: [] }, machine],
    [
      'skipped',
      'the kernel is not its own',
      { asked: '', installed: [], modules: [] },
      { ...machine, container: 'docker' },
    ],
  ])('is %s when %s', (severity, _, reboot, identity) => {
    expect(decideReboot(reboot, identity).severity).toBe(severity)
  })
})
