# How are you? Reads and changes nothing: since when units are as they are, who listens, which certificates lie here.
# Input: unit U | certificate P
units='' certificates=''
while IFS= read -r line; do
    value=${line#*"$TAB"}
    case ${line%%"$TAB"*} in
    unit) units=$units$value$NL ;;
    certificate) certificates=$certificates$value$NL ;;
    *) fail "the question is not understood: $line" ;;
    esac
done
say slipway 1
if [ -r "$ROOT/proc/uptime" ]; then
    # systemd tells its moments in microseconds since boot, so the host's clock does not matter.
    read -r up _ <"$ROOT/proc/uptime"
    say up "${up%%.*}"
fi
IFS=$NL
for path in $certificates; do say_certificate "$path"; done
if [ -n "$units" ] && command -v systemctl >/dev/null; then
    systemctl show --property=Id,ActiveState,ActiveEnterTimestampMonotonic,InactiveEnterTimestampMonotonic -- $units 2>/dev/null |
        while IFS= read -r line; do say show "$line"; done
fi
IFS=" $TAB$NL"
# The kernel tells of listeners first (state 0A, older kernels among them half-open connections, 03), then of the rest,
# of which there may be very many.
inodes=''
for protocol in tcp tcp6; do
    [ -r "$ROOT/proc/net/$protocol" ] || continue
    {
        read -r _ || :
        while read -r _ local _ state _ _ _ _ _ inode _; do
            case $state in
            0A)
                say listen "$protocol" "$local" "$inode"
                inodes=$inodes$inode$NL
                ;;
            03) ;;
            *) break ;;
            esac
        done
    } <"$ROOT/proc/net/$protocol"
done
# Whose they are: the sockets among the open files of every process, some thousand at a time.
open_files() {
    set --
    for process in "$ROOT"/proc/[0-9]*; do
        set -- "$@" "$process"/fd/*
        if [ $# -gt 4000 ]; then
            stat -L --printf='%i\t%n\n' -- "$@" 2>/dev/null
            set --
        fi
    done
    [ $# = 0 ] || stat -L --printf='%i\t%n\n' -- "$@" 2>/dev/null
}
if [ -n "$inodes" ]; then
    wanted=$(printf '%s' "$inodes" | sort -u)
    set +f
    open_files | sort -s -u -t "$TAB" -k 1,1 | join -t "$TAB" - /dev/fd/3 3<<END |
$wanted
END
        while IFS=$TAB read -r inode path; do
            process=${path%/fd/*}
            name='' unit=''
            [ ! -r "$process/comm" ] || name=$(tr -d '\000-\037\177' <"$process/comm")
            while IFS=: read -r number kind path; do
                case $number:$kind:$path in
                *:*/kubepods*) unit=kubepods ;;
                0::/ | *:name=systemd:/) ;;
                0::* | *:name=systemd:*) [ "$unit" = kubepods ] || unit=${path##*/} ;;
                esac
            done <"$process/cgroup"
            say holder "$inode" "${process##*/}" "${name:--}" "${unit:--}"
        done
    set -f
fi
say end
