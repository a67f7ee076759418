/**
 * Which file systems are mounted, and which of them a person would call a disk.
 *
 * Source: proc_pid_mountinfo(5). Left out: what the kernel makes up (proc, sysfs, cgroup, …), images that are read-only
 * and always full (squashfs, iso9660, erofs), layers of containers, and per-user or per-container memory disks. One
 * device is one file system however often it is bound elsewhere.
 */

export interface Mount {
  /** `major:minor`, the same for every bind mount of one file system. */
  readonly device: string
  /** The directory of the file system that is mounted: `/` unless it is a bind mount or a subvolume. */
  readonly root: string
  /** As the kernel writes it, with space, tab, newline and backslash as octal escapes. */
  readonly escapedPath: string
  readonly path: string
  readonly type: string
  readonly source: string
  /** Options of this mount, and of the file system under it. */
  readonly options: readonly string[]
  readonly superOptions: readonly string[]
}

/** File systems without storage of their own, or never full and never empty. */
export const PSEUDO_TYPES = [
  ...['proc', 'sysfs', 'devtmpfs', 'devpts', 'cgroup', 'cgroup2', 'securityfs', 'pstore', 'bpf', 'tracefs', 'debugfs'],
  ...['mqueue', 'hugetlbfs', 'fusectl', 'configfs', 'binfmt_misc', 'autofs', 'rpc_pipefs', 'nsfs', 'ramfs', 'efivarfs'],
  ...['selinuxfs', 'rootfs', 'nfsd', 'squashfs', 'iso9660', 'udf', 'erofs', 'cramfs', 'romfs', 'overlay', 'aufs'],
  ...['fuse.lxcfs', 'fuse.gvfsd-fuse', 'fuse.portal', 'fuse.snapfuse', 'fuse.squashfuse', 'fuse.fuse-overlayfs'],
] as const

/** Shell patterns of file systems whose answer comes from elsewhere (a server, a program) and may never come. */
export const DISTANT_TYPES = [
  ...['nfs', 'nfs4', 'cifs', 'smb3', 'smbfs', 'ncpfs', 'afs', 'coda', 'ceph', 'glusterfs', 'lustre', '9p', 'davfs'],
  ...['gfs2', 'ocfs2', 'beegfs', 'gpfs', 'orangefs', 'virtiofs', 'fuse', 'fuseblk', 'fuse.*'],
] as const

const PRIVATE_MEMORY_DISKS =
  /^\/(?:proc|sys|run\/user|run\/credentials|run\/docker|var\/lib\/(?:docker|kubelet|containers))(?:\/|$)/

export function parseMounts(mountinfo: string): Mount[] {
  return mountinfo.split('\n').flatMap((line): Mount[] => {
    const [left, right] = line.split(' - ', 2)
    const [, , device, root, escapedPath, options] = (left ?? '').split(' ')
    const [type, source, superOptions] = (right ?? '').split(' ')
    if (!device || !root || !escapedPath || !type) return []
    return [
      {
        device,
        root: unescapePath(root),
        escapedPath,
        path: unescapePath(escapedPath),
        type,
        source: unescapePath(source ?? ''),
        options: (options ?? '').split(','),
        superOptions: (superOptions ?? '').split(','),
      },
    ]
  })
}

/** `/mnt/my\040disk` as `/mnt/my disk`. */
export function unescapePath(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

/**
 * The file systems to look at, each device once, by its widest mount point.
 * A root that is an overlay (inside a container) is one of them: it is all the disk there is.
 */
export function chooseMounts(mounts: readonly Mount[]): Mount[] {
  const visible = new Map(mounts.map((mount) => [mount.path, mount]))
  const real = [...visible.values()].filter(isReal)
  return [...Map.groupBy(real, ({ device }) => device).values()]
    .map((same) => same.reduce((best, mount) => (isWider(mount, best) ? mount : best)))
    .sort((a, b) => a.path.localeCompare(b.path))
}

export function isDistant({ type }: Mount): boolean {
  return (DISTANT_TYPES as readonly string[]).includes(type) || type.startsWith('fuse.')
}

function isReal({ type, path, options, superOptions }: Mount): boolean {
  if (type === 'overlay' && path === '/') return true
  if ((PSEUDO_TYPES as readonly string[]).includes(type)) return false
  if (type !== 'tmpfs') return true
  return !PRIVATE_MEMORY_DISKS.test(path) && !options.includes('ro') && !superOptions.includes('ro')
}

function isWider(a: Mount, b: Mount): boolean {
  if ((a.root === '/') !== (b.root === '/')) return a.root === '/'
  return a.path.length < b.path.length
}
