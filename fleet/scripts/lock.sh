# The lock of a cluster on this host: a folder, since making one is atomic. $1: look | take RUN (holder on standard
# input, then end) | oust OLD-RUN | renew RUN | release RUN. Ages are of this host's own clock.
make_state
lock=$STATE/lock
# A run that was killed between making the folder and writing its name has left none: "-" stands for it, so that it can
# be ousted like any other.
holder=-
run_of() {
    holder=''
    [ ! -r "${1:-$lock}/run" ] || IFS= read -r holder <"${1:-$lock}/run"
    holder=${holder:--}
}
case $1 in
look) ;;
take)
    take_order
    # Where the folder cannot be made, nobody holds it, and the second try says on standard error why.
    if mkdir "$lock" 2>/dev/null || { [ ! -d "$lock" ] && mkdir "$lock"; }; then
        printf '%s' "$order" | cat >"$lock/holder" && printf '%s\n' "$2" >"$lock/run" && touch "$lock/renewed" || {
            rm -rf "$lock"
            fail "the lock cannot be written in $STATE"
        }
    fi
    [ -d "$lock" ] || fail "the lock cannot be made in $STATE"
    ;;
oust)
    # The rename is what only one can win. Whose it was is known for certain only after it: somebody else may have
    # ousted and taken the lock since the look before, and gets it back.
    run_of
    if [ "$holder" = "$2" ] && mv -T "$lock" "$lock.$$" 2>/dev/null; then
        run_of "$lock.$$"
        [ "$holder" = "$2" ] || mv -T "$lock.$$" "$lock" 2>/dev/null
        rm -rf "$lock.$$"
    fi
    ;;
renew)
    run_of
    [ "$holder" != "$2" ] || touch "$lock/renewed" || fail "the lock cannot be renewed in $STATE"
    ;;
release)
    run_of
    if [ "$holder" = "$2" ]; then mv -T "$lock" "$lock.$$" 2>/dev/null && rm -rf "$lock.$$"; fi
    ;;
*) fail "the order is not understood: $1" ;;
esac
if [ -d "$lock" ]; then
    run_of
    renewed=$(stat -c %Y "$lock/renewed" 2>/dev/null || stat -c %Y "$lock")
    text=''
    [ ! -r "$lock/holder" ] || IFS= read -r text <"$lock/holder"
    say held "$holder" "$(($(date +%s) - renewed))" "${text:--}"
else
    say free
fi
say end
