# A release on a virtual machine, as the user of the project. What needs root goes by sudo, each command as sudoers has
# it with all its arguments. A run that is cut off is finished or undone by the next one.
#   release ROOT look  DIRECTORY ID
#   release ROOT stage DIRECTORY ID DIGEST                          (a tar archive on standard input)
#   release ROOT start DIRECTORY ID UNIT KEEP WITHIN DELAY TIMEOUT http PORT PATH | tcp PORT | exec WORD...
order=$1
DIR=$ROOT$2
ID=$3
shift 3
OURS=$DIR/.slipway
RELEASES=$DIR/releases
UNITS=$ROOT/etc/systemd/system

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

digest_of() {
    found=''
    if [ -r "$RELEASES/$1/.slipway/digest" ]; then read -r found <"$RELEASES/$1/.slipway/digest"; fi
    printf '%s' "${found:--}"
}

alone() {
    mkdir -p "$OURS" "$RELEASES" ||
        fail "$DIR cannot be written; make it once as root: install -d -o $(id -un) $DIR"
    exec 9>"$OURS/lock" || fail "$OURS/lock cannot be written"
    flock -n 9 || fail 'another release is under way there; wait for its end and run the same command again'
}

look() {
    say digest "$(digest_of "$ID")"
}

# A disk that is full is not left so.
give_up() {
    rm -rf "$archive" "$partial"
    fail "$1"
}

stage() {
    alone
    archive=$RELEASES/.$ID.tar
    partial=$RELEASES/.$ID.partial
    # Whoever has the lock is alone: what a copy that broke off has left, of whatever release, is nobody's.
    set +f
    rm -rf "$RELEASES"/.*.tar "$RELEASES"/.*.partial
    set -f
    cat >"$archive" || give_up "$archive cannot be written"
    if [ "$(sum_of "$archive")" != "$1" ]; then
        give_up 'what arrived is not what was sent; run the same command again'
    fi
    case $(digest_of "$ID") in
    "$1") rm -f "$archive"; return ;;
    -) ;;
    *) give_up "release $ID is there already and holds something else; give this one another --release" ;;
    esac
    mkdir "$partial" || give_up "$partial cannot be made"
    tar -x -f "$archive" -C "$partial" --no-same-owner || give_up "$archive cannot be unpacked"
    rm -f "$archive"
    printf '%s\n' "$1" >"$partial/.slipway/digest" || give_up "$partial cannot be written"
    # Of one without a digest nothing was ever started.
    rm -rf "$RELEASES/${ID:?}"
    mv -T "$partial" "$RELEASES/$ID" || fail "$RELEASES/$ID cannot be made"
}

place_unit() {
    cmp -s "$1" "$UNITS/$UNIT" && return 0
    if cp "$1" "$OURS/$UNIT" && as_root install -m 0644 -o root -g root "$OURS/$UNIT" "$UNITS/$UNIT" &&
        MOVED=yes && as_root systemctl daemon-reload; then
        return 0
    fi 2>"$OURS/answer"
    WHY="$UNIT is another than this release needs and cannot be replaced (see sudoers)"
    [ ! -s "$OURS/answer" ] || WHY="$WHY: $(first_answer)"
    return 1
}

first_answer() { head -n 1 "$OURS/answer" | tr -d '\t'; }

ask() {
    case $KIND in
    http) curl -fsSg -o /dev/null --noproxy '*' --max-time "$TIMEOUT" "http://127.0.0.1:$PORT$WHERE" 2>"$OURS/answer" ;;
    tcp) timeout -k 5 "$TIMEOUT" bash -c ": </dev/tcp/127.0.0.1/$PORT" 2>"$OURS/answer" ;;
    # What a command leaves running must not hold the lock.
    exec) (cd "$DIR/current" && timeout -k 5 "$TIMEOUT" "$@" 9>&-) </dev/null >/dev/null 2>"$OURS/answer" ;;
    esac
}

healthy() {
    : >"$OURS/answer"
    sleep "$DELAY"
    end=$(($(date +%s) + WITHIN))
    well=0
    while :; do
        state=$(systemctl is-active "$UNIT")
        if [ "$state" = failed ]; then
            WHY="$UNIT failed"
            return 1
        fi
        # Twice, so that one which dies of its first request is not taken for well.
        if [ "$state" = active ] && ask "$@"; then
            well=$((well + 1))
            [ "$well" -lt 2 ] || return 0
        else
            well=0
            if [ "$(date +%s)" -ge "$end" ]; then
                WHY="not well within $WITHIN s: $UNIT is $state"
                [ ! -s "$OURS/answer" ] || WHY="$WHY, $(first_answer)"
                return 1
            fi
        fi
        sleep 1
    done
}

take() {
    id=$1
    shift
    place_unit "$RELEASES/$id/.slipway/$UNIT" || return 1
    MOVED=yes
    rm -f "$DIR/.current.new"
    if ! ln -s "releases/$id" "$DIR/.current.new" || ! mv -T "$DIR/.current.new" "$DIR/current"; then
        WHY="$DIR/current cannot be switched"
        return 1
    fi
    if ! as_root systemctl restart "$UNIT" 2>"$OURS/answer"; then
        WHY="$UNIT does not start: $(first_answer)"
        return 1
    fi
    healthy "$@" || return 1
    # Last, so that what never was well is not begun again by the next boot.
    if [ "$(systemctl is-enabled "$UNIT" 2>/dev/null)" != enabled ] && ! as_root systemctl enable "$UNIT" 2>"$OURS/answer"; then
        WHY="$UNIT cannot be enabled: $(first_answer)"
        return 1
    fi
}

quoted() {
    printf "'"
    printf '%s' "$1" | sed "s/'/'\\\\''/g"
    printf "'"
}

# How a release is asked stays with it: the one before is judged by its own check, not by that of its successor.
keep_health() {
    for word in "$KIND" "$PORT" "$WHERE" "$DELAY" "$TIMEOUT" "$@"; do
        printf ' '
        quoted "$word"
    done >"$RELEASES/$ID/.slipway/health"
}

take_back() {
    if [ -r "$RELEASES/$back/.slipway/health" ]; then
        eval "set -- $(cat "$RELEASES/$back/.slipway/health")"
        KIND=$1 PORT=$2 WHERE=$3 DELAY=$4 TIMEOUT=$5
        shift 5
    fi
    # Where nothing was moved the one before never ended, and need not be ended now.
    { [ -z "$MOVED" ] && healthy "$@"; } || take "$back" "$@"
}

# The newest that were well stay, $KEEP of them; of those that never were only the one just tried, to look into.
prune() {
    kept=" $ID $(running) "
    left=$KEEP
    set +f
    # shellcheck disable=SC2012,SC2045 # names are those of releases: letters, digits and . _ -
    for one in $(cd "$RELEASES" && ls -1t -- */.slipway/well 2>/dev/null); do
        [ "$left" -gt 0 ] || break
        left=$((left - 1))
        kept="$kept${one%%/*} "
    done
    for one in "$RELEASES"/*; do
        case $kept in *" ${one##*/} "*) ;; *) rm -rf "$one" ;; esac
    done
    set -f
}

running() {
    to=$(readlink "$DIR/current" 2>/dev/null) || to=''
    printf '%s' "${to##*/}"
}

start() {
    alone
    # The end of the connection is not the end of a release: it gets well here, or goes back.
    trap '' HUP PIPE
    [ "$(digest_of "$ID")" != - ] || fail "release $ID is not there; run the same command again"
    case $KIND in
    http) command -v curl >/dev/null || fail 'the health check needs curl there; install it' ;;
    tcp) command -v bash >/dev/null || fail 'the health check needs bash there; install it' ;;
    esac
    now=$(running)
    back=$now
    if [ -r "$OURS/trying" ]; then
        # One before was cut off: what it came from is the way back, not what it left, and nobody knows what runs.
        read -r tried before <"$OURS/trying"
        if [ "$now" = "$tried" ]; then back=$before; fi
        MOVED=yes
    elif [ "$now" = "$ID" ] && cmp -s "$RELEASES/$ID/.slipway/$UNIT" "$UNITS/$UNIT" &&
        [ "$(systemctl is-active "$UNIT")" = active ] && ask "$@"; then
        say state unchanged "$ID"
        return
    fi
    # The release itself is no way back from it.
    if [ "$back" = "$ID" ] || [ ! -d "$RELEASES/$back" ]; then back=''; fi
    printf '%s %s\n' "$ID" "$back" >"$OURS/trying.new" && mv "$OURS/trying.new" "$OURS/trying" ||
        fail "$OURS cannot be written"
    keep_health "$@" || fail "$RELEASES/$ID cannot be written"
    if take "$ID" "$@"; then
        touch "$RELEASES/$ID/.slipway/well"
        prune
        rm -f "$OURS/trying"
        say state deployed "$ID"
        return
    fi
    say why "$WHY"
    journalctl --no-pager --output cat --lines 10 --unit "$UNIT" 2>/dev/null | while IFS= read -r line; do
        say journal "$(printf '%s' "$line" | tr '\t' ' ')"
    done
    if [ -n "$back" ]; then
        rm -f "$RELEASES/$ID/.slipway/well"
        if take_back "$@"; then
            prune
            rm -f "$OURS/trying"
            say state back "$back"
        else
            say state broken "$back" "$WHY"
        fi
    elif [ "$now" = "$ID" ] && [ -e "$RELEASES/$ID/.slipway/well" ]; then
        # It ran before we came. What keeps it from being well may pass, and its unit goes on trying.
        rm -f "$OURS/trying"
        say state unwell "$ID"
    else
        as_root systemctl stop "$UNIT"
        rm -f "$DIR/current"
        prune
        rm -f "$OURS/trying"
        say state stopped -
    fi
}

case $order in
look) look ;;
stage) stage "$@" ;;
start)
    UNIT=$1 KEEP=$2 WITHIN=$3 DELAY=$4 TIMEOUT=$5 KIND=$6 PORT='' WHERE='' WHY='' MOVED=''
    shift 6
    case $KIND in
    http) PORT=$1 WHERE=$2 ;;
    tcp) PORT=$1 ;;
    esac
    start "$@"
    ;;
esac
say end
