# Note down how far the host has come. $1: phase NAME DIGEST | generation DIGEST (on standard input a line that says who
# made it, or nothing: then that stays as it is; then end) | mark PATH | cordoned | uncordoned
make_state
case $1 in
phase)
    trap '' PIPE
    wait_for_another
    [ -f "$STATE/phases" ] || : >"$STATE/phases"
    say "$2" "$3" | sort -s -u -t "$TAB" -k 1,1 - "$STATE/phases" >"$STATE/phases.new" || fail "the phase cannot be recorded"
    sync "$STATE/phases.new"
    mv -f "$STATE/phases.new" "$STATE/phases"
    ;;
generation)
    # A line that came in part would name no apply, and a rollback would pass this host over.
    take_order
    about=${order%%"$NL"*}
    trap '' PIPE
    wait_for_another
    # A change that only took things away, or nothing, has not set out yet.
    set_out "$2" ''
    before=''
    if [ "$generation" != "$2" ]; then
        before=$generation
    elif [ -r "$STATE/generation" ]; then
        { IFS= read -r _ && IFS= read -r before; } <"$STATE/generation" || :
    fi
    if [ -f "$STATE/staged/$2/manifest" ]; then
        cp "$STATE/staged/$2/manifest" "$STATE/manifest.new" || fail "the manifest cannot be kept"
        sync "$STATE/manifest.new"
        mv -f "$STATE/manifest.new" "$STATE/manifest"
    elif [ "$generation" != "$2" ]; then
        fail "generation $2 is no longer staged, another run has taken it away; run the same command again"
    fi
    if [ -n "$about" ]; then
        printf '%s\n' "$about" >"$STATE/about.new" || fail "$STATE/about cannot be written"
        sync "$STATE/about.new"
        mv -f "$STATE/about.new" "$STATE/about"
    fi
    # The second line is the one before: both change at once.
    printf '%s\n' "$2" $before >"$STATE/generation.new" || fail "the generation cannot be recorded"
    sync "$STATE/generation.new"
    mv -f "$STATE/generation.new" "$STATE/generation"
    rm -f "$STATE/underway"
    # One generation back is kept: its files, its manifest, its records and who made it. What was kept of this one, on a
    # way that was not finished, is in place again.
    set +f
    for other in "$STATE/previous"/*; do
        [ "$other" = "$STATE/previous/$before" ] || rm -rf "$other"
    done
    set -f
    set +f
    for other in "$STATE/staged"/*/manifest "$STATE/left"/*; do sweep "$other"; done
    set -f
    # What a push is sending at this moment has a name that begins with a dot, and stays.
    set +f
    for other in "$STATE/staged"/*; do rm -rf "$other"; done
    set -f
    rmdir "$STATE/staged" 2>/dev/null
    rm -rf "$STATE/left"
    ;;
mark)
    (umask 077 && mkdir -p "${ROOT}${2%/*}" && : >"$ROOT$2") || fail "$2 cannot be written"
    sync "$ROOT$2"
    ;;
cordoned) : >"$STATE/cordoned" ;;
# A reboot that a run has not followed to its end is settled by whoever lets the node go.
uncordoned) rm -f "$STATE/cordoned" "$STATE/rebooting" ;;
*) fail "the order is not understood: $1" ;;
esac
say end
