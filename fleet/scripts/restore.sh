# A snapshot put in the place of a member's data, in steps of which each can be begun again.
# $1: ask DATA | receive ID SIZE SHA256 | prepare ID NAME PEER-URL CLUSTER OWNER DATA WAL PROGRAM UNIT | stop UNIT...
#     | hold UNIT | swap ID OWNER DATA WAL UNIT | begun ID UNIT | start UNIT... | proved ID | finish DATA WAL
# WAL is "-" where the log lies in the data folder. What is being done stands in the file step: an id and how far it came.
REVISIONS=1000000000
folder=$STATE/restore
order=$1
shift

step_is() { [ "$(cat "$folder/step" 2>/dev/null)" = "$1" ]; }

# Written whole, and on the disk before what comes next.
step() {
    printf '%s %s\n' "$1" "$2" >"$folder/step.new" && sync "$folder/step.new" && mv -f "$folder/step.new" "$folder/step" ||
        fail "$folder cannot be written"
}

has_stopped() {
    case $(systemctl is-active -- "$1" 2>/dev/null </dev/null) in inactive | failed | unknown) ;; *) return 1 ;; esac
}

# move FROM TO renames within one file system, unless that has been done.
move() {
    if [ -e "$1" ] && [ ! -e "$2" ]; then
        mv -T -- "$1" "$2" || fail "$1 cannot be renamed to $2"
        sync "${2%/*}"
    fi
    [ ! -e "$1" ] && [ -e "$2" ] || fail "$1 and $2 are not as this step leaves them; see what lies there before anything else"
}

case $order in
ask)
    [ ! -r "$folder/step" ] || {
        read -r id how <"$folder/step"
        say step "$id" "$how"
    }
    set +f
    for old in "$ROOT$1"/.before-restore-*; do [ ! -d "$old" ] || say before "${old##*/.before-restore-}"; done
    ;;
receive)
    mkdir -p "$folder" && chmod 0700 "$folder" || fail "$folder cannot be made"
    head -c "$2" >"$folder/snapshot.new" || fail "the snapshot cannot be written"
    [ "$(sum_of "$folder/snapshot.new")" = "$3" ] || fail "the snapshot did not arrive whole"
    sync "$folder/snapshot.new"
    mv -f "$folder/snapshot.new" "$folder/snapshot.db" || fail "$folder cannot be written"
    ;;
prepare)
    id=$1 name=$2 peer=$3 cluster=$4 owner=$5 data=$ROOT$6 wal=$7 program=$8 unit=$9
    if step_is "$id prepared" || step_is "$id swapped" || step_is "$id begun"; then
        say end
        exit 0
    fi
    [ -f "$folder/snapshot.db" ] || fail "the snapshot is not here"
    # From 3.5 on etcdutl does what etcdctl did.
    tool=${program%/*}/etcdutl
    [ -x "$tool" ] || command -v "$tool" >/dev/null || tool=$program
    [ -d "$data" ] || fail "there is no folder $data; run \`invoke apply\` first"
    ETCDCTL_API=3 "$tool" snapshot status "$folder/snapshot.db" --write-out=json >"$folder/status" 2>"$folder/said" </dev/null ||
        fail "the snapshot is not a database of etcd: $(tail -n 1 "$folder/said")"
    set -- snapshot restore "$folder/snapshot.db" "--name=$name" "--initial-advertise-peer-urls=$peer" \
        "--initial-cluster=$cluster" "--initial-cluster-token=$id" "--data-dir=$data/.restore-$id"
    [ "$wal" = - ] || set -- "$@" "--wal-dir=$ROOT$wal/.restore-$id"
    # Clients have seen later revisions than the snapshot has; a jump ahead keeps what they remember from coming twice.
    bumped=no
    case $(ETCDCTL_API=3 "$tool" snapshot restore --help 2>&1 </dev/null) in
    *--bump-revision*) set -- "$@" "--bump-revision=$REVISIONS" --mark-compacted && bumped=yes ;;
    esac
    set +f
    rm -rf -- "$data"/.restore-*
    [ "$wal" = - ] || rm -rf -- "$ROOT$wal"/.restore-*
    set -f
    ETCDCTL_API=3 "$tool" "$@" >"$folder/said" 2>&1 </dev/null || fail "the snapshot cannot be restored: $(tail -n 1 "$folder/said")"
    [ -d "$data/.restore-$id/member" ] || fail "the snapshot was restored, and $data/.restore-$id/member is not there"
    for path in "$data/.restore-$id" $([ "$wal" = - ] || printf '%s' "$ROOT$wal/.restore-$id"); do
        chown -R "$owner" "$path" && chmod -R u=rwX,go= "$path" || fail "$path cannot be given to $owner"
    done
    sync
    say prepared "$bumped" "$(cat "$folder/status")"
    step "$id" prepared
    ;;
stop)
    # Together, and in any case ended: a member that goes on would write where the new data is to be.
    systemctl stop -- "$@" </dev/null 2>/dev/null
    for unit; do has_stopped "$unit" || fail "$unit does not stop; see \`systemctl status $unit\` there"; done
    ;;
hold)
    # While some members have the old data and some the new, nobody may start one: no other run, and no hand.
    drop_in=$ROOT/run/systemd/system/$1.d
    (umask 022 && mkdir -p "$drop_in" &&
        printf '[Unit]\nAssertPathExists=!/var/lib/slipway/restore/step\n' >"$drop_in/60-slipway-restore.conf") ||
        fail "$drop_in cannot be written"
    systemctl daemon-reload </dev/null || fail "systemctl daemon-reload failed"
    systemctl stop -- "$1" </dev/null 2>/dev/null
    has_stopped "$1" || fail "$1 does not stop; see \`systemctl status $1\` there"
    ;;
swap)
    id=$1 owner=$2 data=$ROOT$3 wal=$4 unit=$5
    if ! step_is "$id swapped" && ! step_is "$id begun"; then
        step_is "$id prepared" || fail "nothing is prepared here for the restore $id; run the same command again"
        has_stopped "$unit" || fail "$unit runs; run the same command again"
        old=$data/.before-restore-$id
        mkdir -p "$old" && chown "$owner" "$old" || fail "$old cannot be made"
        # In this order etcd cannot start in between: its unit asks for the member and the log, and one of them is away.
        if [ -d "$data/.restore-$id/member" ] && [ -e "$data/member" ]; then move "$data/member" "$old/member"; fi
        if [ "$wal" != - ]; then
            root=$ROOT$wal
            if [ -d "$root/.restore-$id" ] && [ -e "$root/wal" ]; then move "$root/wal" "$root/.before-restore-$id"; fi
            move "$root/.restore-$id" "$root/wal"
        fi
        move "$data/.restore-$id/member" "$data/member"
        rmdir "$data/.restore-$id" "$old" 2>/dev/null
        sync
        step "$id" swapped
    fi
    ;;
begun)
    step_is "$1 begun" || { step_is "$1 swapped" && step "$1" begun; } || fail "the data of the restore $1 is not in its place"
    drop_in=$ROOT/run/systemd/system/$2.d
    rm -f -- "$drop_in/60-slipway-restore.conf"
    rmdir --ignore-fail-on-non-empty "$drop_in" 2>/dev/null
    systemctl daemon-reload </dev/null || fail "systemctl daemon-reload failed"
    ;;
start)
    for unit; do systemctl reset-failed -- "$unit" </dev/null 2>/dev/null; done
    systemctl start --no-block -- "$@" </dev/null || fail "$* cannot be started"
    ;;
proved)
    step_is "$1 proved" || { step_is "$1 begun" && step "$1" proved; } || fail "the restore $1 has not been begun here"
    ;;
finish)
    data=$ROOT$1
    set +f
    for old in "$data"/.before-restore-*; do [ ! -d "$old" ] || say old "$old"; done
    [ "$2" = - ] || for old in "$ROOT$2"/.before-restore-*; do [ ! -d "$old" ] || say old "$old"; done
    rm -rf -- "$data"/.restore-*
    rm -rf -- "$folder"
    ;;
*) fail "the order is not understood: $order" ;;
esac
say end
