# What every script begins with. Answers are lines of words separated by tabs on standard output, the last one "end".
# $1 is put before every path: empty on a host, a scratch folder in tests.
set -uf
umask 077
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
ROOT=$1
shift
STATE=$ROOT/var/lib/slipway
TAB=$(printf '\t')
NL='
'

say() {
    line=$1
    shift
    for word; do line=$line$TAB$word; done
    printf '%s\n' "$line"
}

fail() {
    say fail "$1"
    exit 9
}

# Which distribution this is, and which release.
say_os() {
    id='' version=''
    if [ -r "$ROOT/etc/os-release" ]; then
        while IFS='=' read -r name value; do
            value=${value#[\"\']}
            value=${value%[\"\']}
            case $name in ID) id=$value ;; VERSION_ID) version=$value ;; esac
        done <"$ROOT/etc/os-release"
    fi
    say os "${id:--}" "${version:--}"
}

sum_of() {
    sum=$(sha256sum <"$1") || fail "$1 cannot be read"
    printf '%s' "${sum%% *}"
}

# The hidden name beside a path, under which its next content waits for the rename; no drop-in pattern reads it.
sibling() { printf '%s/.%s.slipway' "${1%/*}" "${1##*/}"; }

# Say the first certificate of a file; the key that may lie beside it stays on the host.
say_certificate() {
    [ -r "$ROOT$1" ] || return 0
    body='' inside=''
    while IFS= read -r pem; do
        case $pem in
        '-----BEGIN CERTIFICATE-----') inside=yes ;;
        '-----END CERTIFICATE-----') break ;;
        *) [ -z "$inside" ] || body=$body$pem ;;
        esac
    done <"$ROOT$1"
    say certificate "$1" "${body:--}"
}

make_state() {
    mkdir -p "$STATE/pending" || fail "$STATE cannot be made"
    chmod 0700 "$STATE"
    # What a killed script was writing down; the number in the name is that of its process.
    set +f
    for left in "$STATE"/installed.*.* "$STATE"/list.* "$STATE"/turn.* "$STATE"/restage.* "$STATE"/staged/.incoming.*; do
        number=${left%.users}
        number=${number%.new}
        [ ! -e "$left" ] || [ -d "/proc/${number##*.}" ] || rm -rf -- "$left"
    done
    set -f
}

# The whole order, from standard input, in $order. Its last line is "end"; without it the connection was cut, and nothing is begun.
take_order() {
    # The dot keeps the empty lines at the end, which `$( )` would take away.
    order=$(cat && echo .)
    case $NL$order in *"${NL}end$NL.") order=${order%"end$NL."} ;; *) fail "the order is cut off" ;; esac
}

# A run whose connection was cut goes on here until its order is carried out; two at once would swap the same files. Called
# once the whole order is there and before the first write: nobody waits for a line that is slow or dead.
#
# Who works stands in the file busy, made by `ln` with the words already in it: one step. What a killed script has left there
# may by the time of a delete be the file of somebody who has just come. So it stays, the next one takes the place after
# it (busy.1 and so on), and whoever ends takes away what lies below his place, his own last.
wait_for_another() {
    boot='' waited=0 turn=$STATE/turn.$$
    [ ! -r /proc/sys/kernel/random/boot_id ] || IFS= read -r boot </proc/sys/kernel/random/boot_id
    # By way of cat, which says why it cannot write; the shell's own printf does not.
    printf '%s\n' "$$ $boot" | cat >"$turn" || fail "$STATE cannot be written"
    until take_place; do
        if [ "$waited" -ge 600 ]; then
            rm -f -- "$turn"
            fail "process $worker of an earlier run still works here; see \`systemctl list-jobs\`, end what it waits for and run the same command again"
        fi
        sleep 1
        waited=$((waited + 1))
    done
    rm -f -- "$turn"
    trap leave_place EXIT
}

# $place is the number of the place, empty without one.
place=''
take_place() {
    number=0
    while :; do
        if ln -- "$turn" "$(place_of "$number")" 2>/dev/null; then
            place=$number
            # Somebody who ended just now has taken away what lay below, and somebody else may have come there.
            while [ "$number" -gt 0 ]; do
                number=$((number - 1))
                is_abandoned "$(place_of "$number")" && continue
                rm -f -- "$(place_of "$place")"
                place=''
                return 1
            done
            return 0
        fi
        if is_abandoned "$(place_of "$number")"; then number=$((number + 1)); else return 1; fi
    done
}

place_of() {
    if [ "$1" = 0 ]; then printf '%s' "$STATE/busy"; else printf '%s' "$STATE/busy.$1"; fi
}

leave_place() {
    [ -n "$place" ] || return 0
    set --
    number=0
    while [ "$number" -le "$place" ]; do
        set -- "$@" "$(place_of "$number")"
        number=$((number + 1))
    done
    rm -f -- "$@"
    place=''
}

# Whether a killed script has left the file $1: its words name none that works, and stay, as one that ends takes them along.
is_abandoned() {
    words='' again=''
    [ ! -r "$1" ] || IFS= read -r words 2>/dev/null <"$1"
    ! works "$words" || return 1
    [ ! -r "$1" ] || IFS= read -r again 2>/dev/null <"$1"
    [ -e "$1" ] && [ "$again" = "$words" ]
}

# Whether the process in $1 ("PID BOOT") is a script of Slipway, of this boot.
works() {
    worker=${1%% *}
    case $worker in '' | *[!0-9]* | "$$") return 1 ;; esac
    case $1 in *' '*) [ "${1#* }" = "$boot" ] || return 1 ;; esac
    [ -r "/proc/$worker/cmdline" ] || return 1
    case $(tr '\0' ' ' 2>/dev/null <"/proc/$worker/cmdline") in *' slipway '*) return 0 ;; esac
    return 1
}

# Give a waiting file the SELinux label of the path that it is going to have.
label() {
    if command -v selinuxenabled >/dev/null && selinuxenabled; then
        chcon -h "$(matchpathcon -n "$2")" "$1" || fail "$2: its SELinux label cannot be set"
    fi
}

# Called before anything changes on the way to generation $1: what is needed to come back is kept beside the copies of the
# files, as the present generation left it, and who sets out is written down ($2, one line). A host with that line is in
# the middle of a change until `record generation` takes it away.
set_out() {
    generation=''
    [ ! -r "$STATE/generation" ] || IFS= read -r generation <"$STATE/generation"
    if [ -n "$generation" ] && [ "$generation" != "$1" ]; then
        (umask 077 && mkdir -p "$STATE/previous/$generation") || fail "$STATE/previous cannot be made"
        for part in manifest about installed; do
            [ -f "$STATE/$part" ] && [ ! -e "$STATE/previous/$generation/$part" ] || continue
            cp -p -- "$STATE/$part" "$STATE/previous/$generation/.$part.new" &&
                sync "$STATE/previous/$generation/.$part.new" &&
                mv -f -- "$STATE/previous/$generation/.$part.new" "$STATE/previous/$generation/$part" ||
                fail "the present generation cannot be kept for a rollback"
        done
        # What is ours now and was not when the host first set out has come by a run that was broken off.
        had=$NL$(cut -f 1 "$STATE/previous/$generation/installed" 2>/dev/null)$NL
        has=$NL$(cut -f 1 "$STATE/installed" 2>/dev/null)$NL
    fi
    [ -n "$2" ] || return 0
    # Coming back from the middle of a change is one too, until it has ended.
    if [ "$generation" != "$1" ] || [ -e "$STATE/underway" ]; then
        (umask 077 && printf '%s\n' "$2" >"$STATE/underway.new") && sync "$STATE/underway.new" &&
            mv -f "$STATE/underway.new" "$STATE/underway" || fail "$STATE/underway cannot be written"
    fi
}

# Keep what lies at the path $1 now, on the way from $generation to $digest, unless an earlier run has done so.
keep_copy() {
    [ -n "$generation" ] && [ "$generation" != "$digest" ] && { [ -f "$ROOT$1" ] || [ -L "$ROOT$1" ]; } || return 0
    old=$STATE/previous/$generation/files$1
    if [ ! -e "$old" ] && [ ! -L "$old" ]; then
        # What a run that was broken off has put there is nothing of the generation that is kept.
        case $has in *"$NL$1$NL"*) case $had in *"$NL$1$NL"*) ;; *) return 0 ;; esac ;; esac
        # Under another name first: a kill must leave no half copy that passes for the whole one.
        copy=$(sibling "$old")
        rm -f -- "$copy"
        (umask 077 && mkdir -p "${old%/*}") && cp -a -- "$ROOT$1" "$copy" && mv -T -- "$copy" "$old" ||
            fail "$1 cannot be kept for a rollback"
    fi
}

# Take the path $1 away. What lay there before the generation that leaves, and was not ours, comes back.
take_away() {
    old=$STATE/previous/$digest/files$1
    if [ -n "$digest" ] && { [ -f "$old" ] || [ -L "$old" ]; }; then
        copy=$(sibling "$ROOT$1")
        rm -f -- "$copy"
        cp -a -- "$old" "$copy" && label "$copy" "$1" && mv -fT -- "$copy" "$ROOT$1"
    else
        rm -f -- "$ROOT$1"
    fi
}

# Delete what a run that was killed on its way to the generation with manifest $1 left waiting for its rename.
sweep() {
    [ -r "$1" ] || return 0
    while IFS=$TAB read -r kind key _; do
        case $kind in file | secret | link) ;; *) continue ;; esac
        left=$ROOT${key%/*}/.${key##*/}.slipway
        if [ -e "$left" ] || [ -L "$left" ]; then rm -f -- "$left"; fi
    done <"$1"
}

# One record: key kind phase component sha256 size inode mtime id restarts reloads. It says what we installed, how to know
# it again, and which units read it ($6 and $7). $8 is the digest where it has just been computed of these very bytes.
record_line() {
    facts=-$TAB-$TAB-$TAB-
    case $2 in
    file | secret | binary)
        facts=${8:-$(sum_of "$ROOT$1")}$TAB$(stat --printf='%s\t%i\t%.9Y' -- "$ROOT$1") || fail "$1 cannot be read"
        ;;
    esac
    say "$1" "$2" "$3" "$4" "$facts" "${5:--}" "${6:--}" "${7:--}"
}

# Replace the records of the keys in file $1 (and add new ones); the file of records stays sorted by key.
keep_records() {
    [ -f "$STATE/installed" ] || : >"$STATE/installed"
    sort -s -u -t "$TAB" -k 1,1 "$1" "$STATE/installed" >"$STATE/installed.new" || fail "the records cannot be written"
    chmod 0600 "$STATE/installed.new"
    sync "$STATE/installed.new"
    mv -f "$STATE/installed.new" "$STATE/installed"
    rm -f "$1"
}

# Take the records of the keys in file $1 away.
forget_records() {
    sort -u "$1" | join -t "$TAB" -v 1 "$STATE/installed" - >"$STATE/installed.new" || fail "the records cannot be written"
    chmod 0600 "$STATE/installed.new"
    sync "$STATE/installed.new"
    mv -f "$STATE/installed.new" "$STATE/installed"
    rm -f "$1"
}

# Why a path of ours may not be deleted, in $kept. $1 kind, $2 path, $3 and $4 digest and id as recorded.
why_kept() {
    kept=''
    case $1 in
    link)
        if [ -L "$2" ]; then
            [ "$(readlink -- "$2")" = "$4" ] || kept='somebody else has changed it'
        elif [ -e "$2" ]; then
            kept='somebody else has changed it'
        fi
        ;;
    *)
        if [ -L "$2" ] || { [ -e "$2" ] && [ ! -f "$2" ]; }; then
            kept='it is no longer a file'
        elif [ -f "$2" ] && [ "$(sum_of "$2")" != "$3" ]; then
            kept='somebody else has changed it'
        fi
        ;;
    esac
}
