import { describe, expect, it } from 'vitest'
import { chooseMounts, isDistant, parseMounts } from '../../../scripts/lib/diagnose/host/mounts.ts'
import { decideDisk, decideInodes, decideReadOnly, parseSpace } from '../../../scripts/lib/diagnose/host/space.ts'
import { thresholds } from './thresholds.ts'

const MACHINE = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
23 22 0:21 / /proc rw - proc proc rw
24 22 0:6 / /dev rw - devtmpfs udev rw,size=4k
25 24 0:23 / /dev/shm rw - tmpfs tmpfs rw
26 22 8:1 /var/lib/x /srv/bind rw - ext4 /dev/sda1 rw
27 22 8:17 / /mnt/my\\040disk\\134x rw - xfs /dev/sdb1 rw
28 22 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro
29 22 11:0 / /media/cd ro - iso9660 /dev/sr0 ro
30 22 0:44 / /var/lib/docker/overlay2/a/merged rw - overlay overlay rw
31 22 0:50 / /mnt/nfs rw - nfs4 192.0.2.9:/x rw
32 22 0:51 / /mnt/sshfs rw - fuse.sshfs host:/ rw
33 22 0:60 / /run/user/1000 rw - tmpfs tmpfs rw
34 22 0:61 /@home /home rw - btrfs /dev/sdc rw
35 22 0:61 /@ /mnt/pool rw - btrfs /dev/sdc rw
36 22 8:33 / /over rw - ext4 /dev/sdc1 rw
37 36 8:49 / /over rw - ext4 /dev/sdd1 rw
broken line
`
const CONTAINER = `1 0 0:100 / / rw - overlay overlay rw
2 1 8:1 /var/lib/docker/containers/a/hosts /etc/hosts rw - ext4 /dev/sda1 rw
3 1 8:1 /var/lib/docker/containers/a/resolv.conf /etc/resolv.conf rw - ext4 /dev/sda1 rw
`

describe('mounts', () => {
  it('are the file systems with storage, each once, by their widest mount point', () => {
    expect(chooseMounts(parseMounts(MACHINE)).map(({ path }) => path)).toEqual([
      '/',
      '/dev/shm',
      '/home',
      '/mnt/my disk\\x',
      '/mnt/nfs',
      '/mnt/sshfs',
      '/over',
    ])
  })

  it('are, where one covers another, the one on top', () => {
    expect(chooseMounts(parseMounts(MACHINE)).find(({ path }) => path === '/over')?.source).toBe('/dev/sdd1')
  })

  it('are the overlay in a container, which has nothing else', () => {
    expect(chooseMounts(parseMounts(CONTAINER)).map(({ path }) => path)).toEqual(['/', '/etc/hosts'])
  })

  it('are distant when a server or a program answers for them', () => {
    expect(
      chooseMounts(parseMounts(MACHINE))
        .filter(isDistant)
        .map(({ path }) => path),
    ).toEqual(['/mnt/nfs', '/mnt/sshfs'])
  })
})

describe('space', () => {
  const mount = (line: string) => parseMounts(line)[0] ?? expect.fail('no mount')
  const root = mount('22 1 8:1 / / rw - ext4 /dev/sda1 rw')
  /** 1,000 blocks of 4 KiB, 100 of them reserved for root. */
  const system = (free: number, inodesFree = 50) => {
    const space = parseSpace(`/ 4096 1000 ${free} ${free - 100} 100 ${inodesFree}\n`).get('/')
    return { mount: root, ...(space && { space }) }
  }

  it.each([
    ['ok', 400, '66.7 % used, 1.2 MiB free of 3.5 MiB, warning from 85 %'],
    ['warning', 200, '88.9 % used, 400 KiB free of 3.5 MiB, warning from 85 %'],
    ['critical', 100, '100 % used, 0 B free of 3.5 MiB, critical from 95 %'],
    ['critical', 0, '100 % used, 0 B free of 3.9 MiB, critical from 95 %'],
  ])('is %s with %i blocks free, as df counts', (severity, free, evidence) => {
    expect(decideDisk([system(free)], thresholds)[0]).toMatchObject({ severity, evidence, subject: '/' })
  })

  it('counts inodes apart from bytes', () => {
    expect(decideInodes([system(500, 0)], thresholds)[0]).toMatchObject({
      severity: 'critical',
      title: '/ has no inode left',
      evidence: '100 % used, 0 free of 100, critical from 95 %',
    })
  })

  it('skips inodes where their number is not fixed', () => {
    const btrfs = { mount: root, space: { usedBytes: 1, availableBytes: 1, inodes: 0, inodesFree: 0 } }
    expect(decideInodes([btrfs], thresholds)[0]?.severity).toBe('skipped')
  })

  it('is unknown for a file server that does not answer', () => {
    const nfs = mount('31 22 0:50 / /mnt/a\\040b rw - nfs4 192.0.2.9:/x rw')
    expect(decideDisk([system(400), { mount: nfs, unanswered: 'no answer in 1 s' }], thresholds)[1]).toMatchObject({
      severity: 'unknown',
      subject: '/mnt/a b',
      evidence: 'nfs4 of 192.0.2.9:/x: no answer in 1 s',
      next: "timeout 5 stat -f '/mnt/a b'",
    })
  })

  it('shows a mount point with control characters inert', () => {
    const odd = mount('31 22 0:50 / /mnt/\\033[2J\\012x rw - ext4 /dev/sdb rw')
    const space = { usedBytes: 99, availableBytes: 1, inodes: 0, inodesFree: 0 }
    expect(decideDisk([{ mount: odd, space }], thresholds)[0]?.subject).toBe('/mnt/\\x1b[2J x')
  })
})

describe('read-only file systems', () => {
  const FSTAB =
    '# comment\nUUID=1 / ext4 errors=remount-ro 0 1\n/dev/sdb /data xfs defaults 0 0\n/dev/sdc /ro ext4 ro 0 0\n'
  it.each([
    ['the kernel turned it read-only', '1 0 8:1 / / rw,relatime - ext4 /dev/sda1 ro,errors=remount-ro', 'critical'],
    ['a new kernel turned it read-only', '1 0 8:1 / / rw - ext4 /dev/sda1 rw,emergency_ro', 'critical'],
    ['fstab wants it writable', '1 0 8:2 / /data ro - xfs /dev/sdb ro', 'critical'],
    ['fstab wants it read-only', '1 0 8:3 / /ro ro - ext4 /dev/sdc ro', 'ok'],
    ['somebody mounted it so', '1 0 8:4 / /other ro - ext4 /dev/sdd ro', 'ok'],
    ['it is a part of another one, bound', '1 0 8:5 /sub /bound rw - ext4 /dev/sde ro', 'ok'],
    ['it is writable', '1 0 8:1 / / rw - ext4 /dev/sda1 rw', 'ok'],
  ])('are judged right when %s', (_, line, severity) => {
    expect(decideReadOnly(parseMounts(line), FSTAB)[0]?.severity).toBe(severity)
  })
})
