#!/bin/sh
# One backup of etcd: a snapshot of one healthy member, verified, encrypted where there are recipients, put at its target
# under its final name only when it is whole, and the oldest beyond the retention taken away. The same bytes run in the pod
# of the CronJob and in the service of the timer, so only what busybox and every supported distribution have is used.
#
# Settings lie in /etc/etcd-backup, one `name value` a line; nothing in them is ever run. `now` as argument makes a
# backup where a run of the timer would be content with a fresh one of another host.
set -uf
umask 077
export LC_ALL=C ETCDCTL_API=3
config=${ETCD_BACKUP_CONFIG:-/etc/etcd-backup}
newline='
'
cluster='' endpoints='' etcdctl='' snapshots='' age='' kubernetes='' retention='' target='' folder='' state='' work=''
s3_endpoint='' s3_bucket='' s3_prefix='' s3_region='' fresh=0 delay=0 own='' patience=1800
child='' watch='' partial='' tried=''

tell() { printf 'etcd-backup: %s\n' "$1" >&2; }

fail() {
    tell "$1"
    if [ -n "$state" ] && [ -d "$state" ]; then
        # A run that failed never touches what is known of the last good one.
        printf '%s %s\n' "$(date -u +%Y%m%dT%H%M%SZ)" "$1" >"$state/last-failure.new" 2>/dev/null &&
            mv -f "$state/last-failure.new" "$state/last-failure"
    fi
    exit 1
}

leave() {
    status=$?
    trap '' TERM INT HUP
    for one in $watch $child; do kill -KILL "$one" 2>/dev/null; done
    if [ -n "$partial" ]; then
        # On a file system that has died even an unlink may hang, so nobody waits for it long.
        rm -f "$partial" 9>&- &
        child=$!
        (sleep 3 && kill -USR1 $$) >/dev/null 2>&1 9>&- &
        wait "$child"
    fi
    [ -z "$work" ] || rm -rf "$work/run.$$"
    exit "$status"
}

# bounded SECONDS WHAT COMMAND... runs a command and ends the script's waiting for it in any case: one that hangs in the
# kernel, as on a dead NFS server, cannot be killed, and is then left behind.
bounded() {
    limit=$1 what=$2 expired=''
    shift 2
    "$@" 9>&- &
    child=$!
    (
        left=$limit
        for signal in TERM KILL USR1; do
            # Second by second, so that nothing outlives this shell for long when it is killed.
            while [ "$left" -gt 0 ]; do
                sleep 1
                left=$((left - 1))
            done
            left=3
            if [ "$signal" = USR1 ]; then kill -USR1 $$; else kill "-$signal" "$child" 2>/dev/null; fi
        done
    ) >/dev/null 2>&1 9>&- &
    watch=$!
    # The trap of USR1 ends the wait.
    wait "$child"
    status=$?
    # A subshell can lose a TERM that comes while it begins; KILL it cannot.
    kill -KILL "$watch" 2>/dev/null
    wait "$watch" 2>/dev/null
    child='' watch=''
    if [ -n "$expired" ] || [ "$status" -eq 143 ] || [ "$status" -eq 137 ]; then
        fail "$what took longer than $limit s and was given up; see whether the target or the member hangs"
    fi
    return "$status"
}

# Where one of these goes wrong, the last line that the program said is the reason.
said() { tail -n 1 "$run/said" 2>/dev/null | tr -d '\r' | cut -c 1-300; }

read_settings() {
    for file in "$config/settings" "$config/host"; do
        if [ ! -r "$file" ]; then
            # Only a host with a member of its own, or with others before it, has facts of its own.
            [ "$file" = "$config/host" ] || fail "$file cannot be read; run \`invoke apply\`"
            continue
        fi
        while read -r name value; do
            case $name in
            cluster) cluster=$value ;; endpoints) endpoints=$value ;; etcdctl) etcdctl=$value ;; age) age=$value ;;
            snapshots) snapshots=$value ;; kubernetes) kubernetes=$value ;; retention) retention=$value ;;
            target) target=$value ;; folder) folder=$value ;; state) state=$value ;; work) work=$value ;;
            s3-endpoint) s3_endpoint=$value ;; s3-bucket) s3_bucket=$value ;; s3-prefix) s3_prefix=$value ;;
            s3-region) s3_region=$value ;; fresh) fresh=$value ;; delay) delay=$value ;; own) own=$value ;;
            patience) patience=$value ;; period) ;;
            '' | '#'*) ;;
            *) fail "$file: the setting $name is not known; run \`invoke apply\`" ;;
            esac
        done <"$file"
    done
    for name in "$cluster" "$endpoints" "$etcdctl" "$snapshots" "$retention" "$target" "$state" "$work"; do
        [ -n "$name" ] || fail "$config/settings lacks a setting; run \`invoke apply\`"
    done
    case $retention in *[!0-9]* | 0) fail "the retention $retention is no number of snapshots to keep" ;; esac
}

etcdctl() {
    exec "$etcdctl" --endpoints="$endpoint" --cacert="$config/ca.crt" --cert="$config/backup.crt" \
        --key="$config/backup.key" --dial-timeout=5s "$@"
}

healthy() { etcdctl --command-timeout=10s endpoint health >"$run/said" 2>&1; }
save() { etcdctl --command-timeout="${patience}s" snapshot save "$run/snapshot.db" >"$run/said" 2>&1; }
status_of() { exec "$snapshots" snapshot status "$1" --write-out=json >"$run/status" 2>"$run/said"; }
members() { etcdctl --command-timeout=10s member list >"$run/members" 2>"$run/said"; }
version() { etcdctl --command-timeout=10s endpoint status >"$run/version" 2>"$run/said"; }
sum_file() { exec sha256sum "$1" >"$run/sum" 2>"$run/said"; }
sum_of_content() { head -c "$2" "$1" | sha256sum >"$run/sum" 2>"$run/said"; }
encrypt() { exec "$age" --encrypt --recipients-file "$config/recipients" --output "$2" "$1" >"$run/said" 2>&1; }

# The member on this host first, then the others in order; one is enough, and one run asks no second one for the data.
choose_endpoint() {
    reasons=''
    for endpoint in $own $endpoints; do
        case " $tried " in *" $endpoint "*) continue ;; esac
        tried="$tried $endpoint"
        if bounded 30 "the health check of $endpoint" healthy; then return 0; fi
        reasons="$reasons; $endpoint: $(said)"
    done
    fail "no member of etcd is healthy, so there is nothing to back up${reasons}"
}
size_of() { wc -c <"$1" | tr -d ' '; }

# digest FILE sets $sum.
digest() {
    bounded "$patience" "reading $1" sum_file "$1" || fail "$1 cannot be read: $(said)"
    read -r sum _ <"$run/sum"
}

# field NAME prints a number of the JSON that `snapshot status` prints.
field() { sed -n "s/.*\"$1\": *\([0-9][0-9]*\).*/\1/p" "$run/status" | head -n 1; }

# A snapshot from a member ends with the SHA-256 of all that is before; status reads the database itself.
verify() {
    size=$(size_of "$run/snapshot.db")
    [ "${size:-0}" -gt 0 ] || fail "the snapshot of $endpoint is empty"
    [ $((size % 512)) -eq 32 ] || fail "the snapshot of $endpoint does not end with its hash: it is cut off"
    bounded "$patience" 'the hash of the snapshot' sum_of_content "$run/snapshot.db" $((size - 32)) ||
        fail "the snapshot cannot be read: $(said)"
    read -r found _ <"$run/sum"
    [ "$found" = "$(tail -c 32 "$run/snapshot.db" | od -An -v -tx1 | tr -d ' \n')" ] ||
        fail "the snapshot of $endpoint is not what its own hash says; look at the disk below $work"
    bounded "$patience" 'the status of the snapshot' status_of "$run/snapshot.db" ||
        fail "the snapshot of $endpoint is not a database of etcd: $(said)"
    hash=$(field hash) revision=$(field revision) keys=$(field totalKey)
    [ -n "$hash" ] && [ "${revision:-0}" -gt 0 ] && [ "${keys:-0}" -gt 0 ] ||
        fail "the snapshot of $endpoint has no revision or no keys: $(head -c 300 "$run/status")"
}

# The file beside the snapshot says what it is before anybody decrypts it.
describe() {
    bounded 30 'the list of members' members || fail "$endpoint does not list its members: $(said)"
    bounded 30 'the version of etcd' version || fail "$endpoint does not say its version: $(said)"
    etcd=$(cut -d , -f 3 "$run/version" | tr -d ' ' | head -n 1)
    list=$(while IFS=, read -r _ _ member urls _; do
        member=${member# } urls=${urls# }
        printf '%s{"name": "%s", "peerURL": "%s"}' "${comma:-}" "$member" "$urls"
        comma=', '
    done <"$run/members")
    cat >"$run/description" <<END
{
  "cluster": "$cluster",
  "time": "$moment",
  "revision": $revision,
  "keys": $keys,
  "hash": $hash,
  "snapshotSHA256": "$plain_sum",
  "snapshotSize": $size,
  "file": "$name",
  "sha256": "$final_sum",
  "size": $final_size,
  "endpoint": "$endpoint",
  "etcd": "$etcd",
  "kubernetes": "$kubernetes",
  "members": [$list]
}
END
}

# --- a folder, which may be a mounted volume or NFS ---

folder_list() { exec ls -1 "$folder" >"$run/list" 2>"$run/said"; }
folder_check() { [ -d "$folder" ] && : >"$folder/.etcd-backup.$$" && rm -f "$folder/.etcd-backup.$$"; }
folder_copy() { exec cp "$1" "$2" 2>"$run/said"; }
folder_sync() { exec sync "$1" 2>"$run/said"; }
folder_rename() { exec mv -f "$1" "$2" 2>"$run/said"; }
folder_delete() { exec rm -f "$folder/$1" 2>"$run/said"; }
folder_sweep() {
    # Without globbing in the whole script, it is turned on for the leftovers of runs that were killed.
    set +f
    rm -f "$folder/.etcd-backup."* "$folder/.etcd-$cluster-"*.partial 2>"$run/said"
}

folder_put() {
    partial=$folder/.$2.partial
    bounded "$patience" "the copy to $folder" folder_copy "$1" "$partial" || fail "$2 cannot be written to $folder: $(said)"
    bounded "$patience" "writing to the disk of $folder" folder_sync "$partial" || fail "$2 cannot be written to $folder: $(said)"
    [ "$(size_of "$partial")" = "$(size_of "$1")" ] || fail "$2 has another size in $folder than here; is it full?"
    digest "$partial"
    [ "$sum" = "$3" ] || fail "$2 reads back from $folder as something else; look at that disk"
    bounded 60 "the rename in $folder" folder_rename "$partial" "$folder/$2" || fail "$2 cannot be renamed in $folder: $(said)"
    partial=''
}

# --- an S3-compatible store: requests signed here (AWS Signature Version 4), sent by curl of any version ---

# bytes HEX prints the bytes.
bytes() {
    rest=$1 text=''
    while [ -n "$rest" ]; do
        byte=$((0x${rest%"${rest#??}"}))
        text="$text\\$((byte / 64))$((byte / 8 % 8))$((byte % 8))"
        rest=${rest#??}
    done
    # shellcheck disable=SC2059 # the bytes are the format
    printf "$text"
}

hex() { printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n'; }
sha() { sha256sum | cut -d ' ' -f 1; }

# padded KEYHEX NUMBER prints a key, filled up to a block, with every byte changed by a number, as hex.
padded() {
    key=$1 number=$2 text='' count=0
    while [ "$count" -lt 64 ]; do
        byte=0
        if [ -n "$key" ]; then
            byte=$((0x${key%"${key#??}"}))
            key=${key#??}
        fi
        text=$text$(printf '%02x' $((byte ^ number)))
        count=$((count + 1))
    done
    printf '%s' "$text"
}

# hmac KEYHEX TEXT prints HMAC-SHA256 as hex (RFC 2104).
hmac() {
    base=$1
    [ "${#base}" -le 128 ] || base=$(bytes "$base" | sha)
    inner=$({ bytes "$(padded "$base" 54)" && printf '%s' "$2"; } | sha)
    { bytes "$(padded "$base" 92)" && bytes "$inner"; } | sha
}

read_credentials() {
    access='' secret=''
    while read -r line || [ -n "$line" ]; do
        case $line in
        AWS_ACCESS_KEY_ID=*) access=${line#*=} ;;
        AWS_SECRET_ACCESS_KEY=*) secret=${line#*=} ;;
        esac
    done <"$config/s3" || fail "$config/s3 cannot be read; seal it with \`invoke secrets.set --name addons/etcd-backup-s3\`"
    [ -n "$access" ] && [ -n "$secret" ] ||
        fail "$config/s3 lacks AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY; seal addons/etcd-backup-s3 anew with both lines"
    command -v curl >/dev/null || fail 'there is no curl here, and S3 needs one; in a pod use an image that has it'
}

# request METHOD PATH QUERY HASH [FILE] sends a request; the answer is in $run/answer, its status in $code. Neither key is
# ever in a list of processes or a file.
request() {
    at=$(date -u +%Y%m%dT%H%M%SZ) day='' host=${s3_endpoint#*://}
    host=${host%%/*} day=${at%%T*}
    case $s3_endpoint in https://*) host=${host%:443} ;; *) host=${host%:80} ;; esac
    scope=$day/$s3_region/s3/aws4_request
    signed='host;x-amz-content-sha256;x-amz-date'
    heads="host:$host${newline}x-amz-content-sha256:$4${newline}x-amz-date:$at"
    canonical="$1$newline$2$newline$3$newline$heads$newline$newline$signed$newline$4"
    token="AWS4-HMAC-SHA256$newline$at$newline$scope$newline$(printf '%s' "$canonical" | sha)"
    key=$(hmac "$(hex "AWS4$secret")" "$day")
    key=$(hmac "$key" "$s3_region")
    key=$(hmac "$key" s3)
    key=$(hmac "$key" aws4_request)
    signature=$(hmac "$key" "$token")
    {
        printf 'url = "%s"\n' "$s3_endpoint$2${3:+?$3}"
        printf 'header = "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s"\n' \
            "$access" "$scope" "$signed" "$signature"
        printf 'header = "x-amz-date: %s"\nheader = "x-amz-content-sha256: %s"\nheader = "Expect:"\n' "$at" "$4"
        case $1 in
        PUT) printf 'upload-file = "%s"\n' "$5" ;;
        HEAD) printf 'head\n' ;;
        *) printf 'request = "%s"\n' "$1" ;;
        esac
        [ ! -r "$config/s3-ca.crt" ] || printf 'cacert = "%s"\n' "$config/s3-ca.crt"
    } >"$run/request"
    : >"$run/answer"
    bounded $((patience + 30)) "the request to $s3_endpoint" send ||
        fail "$s3_endpoint does not answer: $(said)"
    code=$(cat "$run/code")
}

send() {
    exec curl --silent --show-error --connect-timeout 20 --max-time "$patience" --config "$run/request" \
        --output "$run/answer" --write-out '%{http_code}' >"$run/code" 2>"$run/said"
}

# The reason that the store gives, in one word.
refusal() { sed -n 's/.*<Code>\([^<]*\)<.*/\1/p' "$run/answer" | head -n 1; }

empty=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

s3_check() { s3_list; }

s3_put() {
    bytes_here=$(size_of "$1")
    [ "$bytes_here" -le 5368709120 ] || fail "$2 is larger than the 5 GiB that S3 takes in one piece; use another target"
    request PUT "/$s3_bucket/$s3_prefix$2" '' "$3" "$1"
    case $code in 2??) ;; *) fail "$s3_endpoint does not take $2: $code $(refusal)" ;; esac
    # The store has checked the content against the hash in the signature; an object is there whole or not at all.
    request HEAD "/$s3_bucket/$s3_prefix$2" '' "$empty"
    there=$(tr -d '\r' <"$run/answer" | sed -n 's/^[Cc]ontent-[Ll]ength: *//p' | tail -n 1)
    [ "$code" = 200 ] && [ "$there" = "$bytes_here" ] || fail "$2 is not at $s3_endpoint as it was sent: $code, ${there:-no} bytes"
}

s3_list() {
    # Keys come in order, the oldest first, a thousand at most: more than twice the largest retention.
    request GET "/$s3_bucket" "list-type=2&prefix=$(printf '%s' "${s3_prefix}etcd-$cluster-" | sed 's,/,%2F,g')" "$empty"
    [ "$code" = 200 ] || fail "$s3_endpoint does not list $s3_bucket: $code $(refusal)"
    tr '<' "$newline" <"$run/answer" | sed -n "s,^Key>$(printf '%s' "$s3_prefix" | sed 's,[.],\\.,g'),,p" >"$run/list"
}

s3_delete() {
    request DELETE "/$s3_bucket/$s3_prefix$1" '' "$empty"
    case $code in 2??) ;; *) printf '%s %s\n' "$code" "$(refusal)" >"$run/said"; return 1 ;; esac
}

# --- what both have in common ---

put() { "${target}_put" "$@"; }

# Names of whole snapshots at the target, the oldest first, in $run/names; all files in $run/list.
list() {
    if [ "$target" = s3 ]; then s3_list; else
        bounded 60 "listing $folder" folder_list || fail "$folder cannot be listed: $(said)"
    fi
    : >"$run/names"
    while read -r file; do
        stem=${file#"etcd-$cluster-"}
        # Another cluster's name may begin as this one does: behind the name comes the time, and nothing else.
        case $stem in
        "$file") ;;
        [0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z-*.db | [0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z-*.db.age)
            printf '%s\n' "$file" >>"$run/names"
            ;;
        esac
    done <"$run/list"
    sort -o "$run/names" "$run/names"
}

take() {
    if [ "$target" = s3 ]; then s3_delete "$1"; else bounded 60 "a delete in $folder" folder_delete "$1"; fi
}

# The newest `retention` stay. The one just made is among them, so the last good one never goes.
prune() {
    list
    grep -qxF "$name" "$run/names" || fail "$name is not among what the target lists; nothing was deleted"
    surplus=$(($(wc -l <"$run/names") - retention))
    [ "$surplus" -gt 0 ] || return 0
    head -n "$surplus" "$run/names" >"$run/old"
    while read -r old; do
        [ "$old" != "$name" ] || continue
        # The description goes last: a snapshot never lies there without it.
        take "$old" && take "${old%.db*}.json" || fail "$old cannot be deleted: $(said)"
    done <"$run/old"
}

# Whether another host has made one of late; several hosts of a timer share a target.
is_fresh() {
    [ "$fresh" -gt 0 ] || return 1
    list
    newest=$(tail -n 1 "$run/names")
    [ -n "$newest" ] || return 1
    since=$(($(date -u +%s) - fresh))
    since=$(date -u -d "@$since" +%Y%m%d%H%M%S)
    at=${newest#"etcd-$cluster-"}
    at=$(printf '%s' "${at%%Z*}" | tr -d T)
    [ "$at" -gt "$since" ]
}

read_settings
mkdir -p "$state" "$work" || fail "$state cannot be made"
(: >>"$state/lock") 2>/dev/null || fail "$state/lock cannot be written"
command -v flock >/dev/null || fail 'flock is not there; take an image or a host that has it (util-linux, busybox)'
exec 9>>"$state/lock"
if ! flock -n 9; then
    state=''
    fail 'another backup is under way on this host; nothing was done'
fi
trap leave EXIT
trap 'tell "ended by a signal; nothing counts that was under way"; exit 143' TERM INT HUP
trap 'expired=yes' USR1
# With the lock, whatever lies here was left by a run that was killed.
set +f
rm -rf "$work"/run.*
set -f
run=$work/run.$$
mkdir "$run" || fail "$work cannot be written"

if [ "$target" = s3 ]; then read_credentials; elif [ "$target" != folder ]; then fail "the target $target is not known"; fi
if [ "${1:-}" != now ] && [ "$fresh" -gt 0 ]; then
    # Hosts that share a target come one after the other.
    [ "$delay" -eq 0 ] || bounded $((delay + 60)) 'waiting for its turn' sleep "$delay"
    if is_fresh; then
        tell "$newest was made a short time ago; nothing to do"
        exit 0
    fi
fi
if [ "$target" = folder ]; then
    bounded 60 "a look at $folder" folder_check 2>"$run/said" ||
        fail "$folder cannot be written: $(said); is the volume mounted, and may root write there?"
    bounded 60 "clearing $folder" folder_sweep
fi

choose_endpoint
bounded $((patience + 30)) "the snapshot of $endpoint" save || fail "$endpoint gives no snapshot: $(said)"
verify
digest "$run/snapshot.db"
plain_sum=$sum final=$run/snapshot.db moment=$(date -u +%Y%m%dT%H%M%SZ)
name=etcd-$cluster-$moment-$revision.db
if [ -n "$age" ]; then
    bounded "$patience" 'the encryption' encrypt "$run/snapshot.db" "$run/snapshot.age" || fail "age does not encrypt: $(said)"
    case $(head -n 1 "$run/snapshot.age" | tr -d '\000') in
    age-encryption.org/v1*) ;;
    *) fail 'what age wrote is not encrypted; nothing was sent' ;;
    esac
    name=$name.age final=$run/snapshot.age
    digest "$final"
fi
final_sum=$sum final_size=$(size_of "$final")
describe
digest "$run/description"
# The snapshot comes last: what has its name is whole and described.
put "$run/description" "${name%.db*}.json" "$sum"
put "$final" "$name" "$final_sum"
printf '%s %s %s %s %s\n' "$moment" "$revision" "$hash" "$final_size" "$name" >"$state/last-good.new" &&
    mv -f "$state/last-good.new" "$state/last-good" || fail "$state/last-good cannot be written"
prune
rm -f "$state/last-failure"
tell "$name: revision $revision, $keys keys, $final_size bytes, of $endpoint"
