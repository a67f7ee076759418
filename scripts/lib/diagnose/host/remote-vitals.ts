/**
 * Reads the vital signs of a machine that only offers `sh`: one round trip, no file written, nothing installed.
 *
 * The script is POSIX sh (dash, bash and busybox run it) and needs cat; what else it finds (grep, stat or df, dd) makes
 * the answer fuller. Of the file systems it asks only those that are sure to answer.
 */
import type { HostReader } from '../../host/types.ts'
import { createMark, FRAME_SCRIPT, parseWholeFrames } from '../frames.ts'
import { MANY_OPEN_FILES, MAX_OPEN_FILES_PROCESSES } from './limits.ts'
import { DISTANT_TYPES, PSEUDO_TYPES } from './mounts.ts'
import { CPUINFO, CPUINFO_BYTES, MARKERS, ONCE, SAMPLED, type VitalTexts } from './sources.ts'

export interface RemoteOptions {
  readonly windowMs: number
  readonly signal: AbortSignal
  readonly timeoutMs: number
}

export async function readRemoteVitals(host: HostReader, options: RemoteOptions): Promise<VitalTexts> {
  const mark = createMark()
  const seconds = (options.windowMs / 1000).toFixed(3)
  const { stdout } = await host.read(['sh', '-c', VITALS_SCRIPT, 'sh', mark, seconds], {
    signal: options.signal,
    timeoutMs: options.timeoutMs,
  })
  return { texts: parseWholeFrames(stdout, mark, host.name) }
}

/** Numbers of `stat -f`: see space.ts. df has no reserved blocks, so used + available stands for the whole there. */
const SPACE_SCRIPT = `
space() {
  path=$1
  case $path in
    *\\\\*) case $path in *%*) return;; esac; path=$(printf "$path");;
  esac
  numbers=$(stat -f -c '%S %b %f %a %c %d' "$path") || numbers=$(from_df "$path")
  [ -n "$numbers" ] && printf '%s %s\\n' "$1" "$numbers"
}
from_df() {
  set -- $(df -P -k "$1" | tail -n 1)
  shift $(($# > 6 ? $# - 6 : 0))
  printf '1024 %s %s %s 0 0' $(($3 + $4)) "$4" "$4"
}
`

const VITALS_SCRIPT = `${FRAME_SCRIPT}${SPACE_SCRIPT}
window=$2
counters() { for f in ${SAMPLED.join(' ')}; do [ -r $f ] && begin "$1 $f" && cat $f; done; }
processes() { begin "$1 processes"; cat /proc/[0-9]*/stat; }

for f in ${ONCE.join(' ')}; do file $f; done
begin ${CPUINFO}
if has dd; then dd if=${CPUINFO} bs=${CPUINFO_BYTES} count=1; else cat ${CPUINFO}; fi
begin present
for f in ${MARKERS.join(' ')}; do [ -e $f ] && echo $f; done
begin disks
for d in /sys/block/*; do [ -e "$d/device" ] && echo "\${d##*/}"; done
begin modules
for d in /lib/modules/*; do [ -e "$d" ] && echo "\${d##*/}"; done
begin kernels
for f in /boot/vmlinuz-*; do [ -e "$f" ] && echo "\${f#/boot/vmlinuz-}"; done
for d in /lib/modules/*; do [ -e "$d/vmlinuz" ] && echo "\${d##*/}"; done

begin space
mounts=$(cat /proc/self/mountinfo)
set -f
IFS='
'
for line in $mounts; do
  IFS=' '
  type=\${line#* - }
  type=\${type%% *}
  set -- $line
  case $type in
    overlay) [ "$5" = / ] && space "$5";;
    ${[...PSEUDO_TYPES.filter((type) => type !== 'overlay'), ...DISTANT_TYPES].join('|')}) ;;
    *) space "$5";;
  esac
done
set +f
unset IFS

processes before
counters before
sleep $window || sleep 1
counters after
processes after

if has grep; then
  for f in $(grep -l ') D ' /proc/[0-9]*/stat); do
    p=\${f#/proc/}; p=\${p%/stat}
    begin "waits $p"
    cat /proc/$p/wchan
  done
fi
begin files
many=
for d in /proc/[0-9]*; do
  set -- $d/fd/*
  [ $# -ge ${MANY_OPEN_FILES} ] && printf '%s %s\\n' "\${d#/proc/}" $# && many="$many \${d#/proc/}"
done
n=0
for p in $many; do
  n=$((n + 1))
  [ $n -gt ${MAX_OPEN_FILES_PROCESSES} ] && break
  begin "limits $p"
  cat /proc/$p/limits
done
begin end
`
