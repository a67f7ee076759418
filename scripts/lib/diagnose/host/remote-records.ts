/**
 * Reads the records of a machine that only offers `sh`, in one round trip. What is not there is left out: tail and grep
 * for log files, dmesg (or /dev/kmsg and a moment) for the kernel log, systemctl, journalctl and the time services.
 */
import type { HostReader } from '../../host/types.ts'
import { quoteArgv, quoteWord } from '../../core/quote.ts'
import { createMark, FRAME_SCRIPT, parseWholeFrames, type Texts } from '../frames.ts'
import { ERROR_WORDS, LOG_TAIL_BYTES } from './logs.ts'
import {
  CHRONYC,
  CHRONYD,
  JOURNALCTL,
  LOG_FILES,
  NTPD,
  NTPQ,
  RECORD_FILES,
  RECORD_MARKERS,
  SYSTEMCTL,
  SYSTEMD,
  TIMEDATECTL,
  TIMESYNCD,
} from './record-sources.ts'

export interface RemoteRecordsOptions {
  readonly signal: AbortSignal
  readonly timeoutMs: number
}

/** @returns the texts of records.ts */
export async function readRemoteRecords(host: HostReader, { signal, timeoutMs }: RemoteRecordsOptions): Promise<Texts> {
  const mark = createMark()
  // A program that hangs must leave the script time to send the rest.
  const perProgram = String(Math.max(1, Math.floor(timeoutMs / 2000)))
  const { stdout } = await host.read(['sh', '-c', RECORDS_SCRIPT, 'sh', mark, perProgram], { signal, timeoutMs })
  return parseWholeFrames(stdout, mark, host.name)
}

const anyOf = (paths: readonly string[]) => paths.map((path) => `[ -e ${path} ]`).join(' || ')

const RECORDS_SCRIPT = `${FRAME_SCRIPT}
limit=$2
ask() { if has timeout; then timeout $limit "$@"; else "$@"; fi; }
errors() { if has grep; then grep -iE ${quoteWord(ERROR_WORDS)} | tail -n 3000; else cat; fi; }
log_file() {
  for f in ${LOG_FILES.join(' ')}; do
    [ -f $f ] || continue
    if ! [ -r $f ]; then
      begin denied; echo $f
    elif has tail; then
      begin "log $f"
      tail -c ${LOG_TAIL_BYTES} $f | { IFS= read -r a; IFS= read -r b; printf '%s\\n%s\\n' "$a" "$b"; errors; }
    fi
    return
  done
}
kernel_log() {
  if has dmesg && dmesg -r >/dev/null; then
    begin kmsg; dmesg -r | if has grep; then grep '^<[0-3]>'; else cat; fi
  elif [ -r /dev/kmsg ]; then
    # At the end of the log cat waits for more; where reading is refused it is gone before it can be killed.
    text=$(cat /dev/kmsg & p=$!; sleep 0.3 || sleep 1; kill $p && echo complete)
    case $text in *complete) begin kmsg; printf '%s\\n' "$text";; esac
  fi
}

for f in ${RECORD_FILES.join(' ')}; do file $f; done
begin present
for f in ${RECORD_MARKERS.join(' ')}; do [ -e $f ] && echo $f; done
has date && begin zone && date +%z
kernel_log

if ${anyOf(CHRONYD)}; then
  answer=$(ask ${quoteArgv(CHRONYC)}) && begin chrony && echo "$answer"
elif [ -e ${TIMESYNCD} ]; then :
elif ${anyOf(NTPD)}; then
  answer=$(ask ${quoteArgv(NTPQ)}) && begin ntp && echo "$answer"
elif [ -e ${SYSTEMD} ]; then
  answer=$(ask ${quoteArgv(TIMEDATECTL)}) && begin timedatectl && echo "$answer"
fi

if [ -d ${SYSTEMD} ]; then
  answer=$(ask ${quoteArgv(SYSTEMCTL)}); status=$?
  begin "units $status"
  echo "$answer"
  answer=$(ask ${quoteArgv(JOURNALCTL)} 2>&1); status=$?
  case $status:$answer in
    124:*) begin 'late journal';;
    *'No journal files'*|*'Hint: '*) begin journal; printf '%s\\n' "$answer"; log_file;;
    0:*) begin journal; printf '%s\\n' "$answer";;
    *) log_file;;
  esac
else
  log_file
fi
begin end
`
