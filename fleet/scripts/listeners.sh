# Who listens on TCP ports, for the scripts that tell it.

# The open files of every process, sockets among them, some thousand at a time.
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

# A line "listen" for each socket, and "holder" for each whose process can be found.
say_listeners() {
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
}
