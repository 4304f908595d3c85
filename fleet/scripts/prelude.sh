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

sum_of() {
    sum=$(sha256sum <"$1") || fail "$1 cannot be read"
    printf '%s' "${sum%% *}"
}

# The hidden name beside a path, under which its next content waits for the rename; no drop-in pattern reads it.
sibling() { printf '%s/.%s.slipway' "${1%/*}" "${1##*/}"; }

make_state() {
    mkdir -p "$STATE/pending" || fail "$STATE cannot be made"
    chmod 0700 "$STATE"
}

# Give a waiting file the SELinux label of the path that it is going to have.
label() {
    if command -v selinuxenabled >/dev/null && selinuxenabled; then
        chcon -h "$(matchpathcon -n "$2")" "$1" || fail "$2: its SELinux label cannot be set"
    fi
}

# One record: key kind phase component sha256 size inode mtime id restarts reloads. It says what we installed, how to know
# it again, and which units read it ($6 and $7).
record_line() {
    facts=-$TAB-$TAB-$TAB-
    case $2 in
    file | secret | binary)
        facts=$(sum_of "$ROOT$1")$TAB$(stat --printf='%s\t%i\t%.9Y' -- "$ROOT$1") || fail "$1 cannot be read"
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
