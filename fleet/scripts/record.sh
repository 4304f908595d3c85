# Note down how far the host has come. $1: phase NAME DIGEST | generation DIGEST | mark PATH | cordoned | uncordoned
make_state
case $1 in
phase)
    [ -f "$STATE/phases" ] || : >"$STATE/phases"
    say "$2" "$3" | sort -s -u -t "$TAB" -k 1,1 - "$STATE/phases" >"$STATE/phases.new" || fail "the phase cannot be recorded"
    sync "$STATE/phases.new"
    mv -f "$STATE/phases.new" "$STATE/phases"
    ;;
generation)
    old=''
    [ ! -r "$STATE/generation" ] || IFS= read -r old <"$STATE/generation"
    if [ -n "$old" ] && [ "$old" != "$2" ]; then
        # One generation back is kept: what its files were, and its manifest.
        mkdir -p "$STATE/previous/$old"
        [ ! -f "$STATE/manifest" ] || mv -f "$STATE/manifest" "$STATE/previous/$old/manifest"
        set +f
        for other in "$STATE/previous"/*; do [ "$other" = "$STATE/previous/$old" ] || rm -rf "$other"; done
        set -f
    fi
    [ ! -f "$STATE/staged/$2/manifest" ] || cp "$STATE/staged/$2/manifest" "$STATE/manifest"
    printf '%s\n' "$2" >"$STATE/generation.new"
    sync "$STATE/generation.new"
    mv -f "$STATE/generation.new" "$STATE/generation"
    rm -rf "$STATE/staged"
    ;;
mark)
    (umask 077 && mkdir -p "${ROOT}${2%/*}" && : >"$ROOT$2") || fail "$2 cannot be written"
    sync "$ROOT$2"
    ;;
cordoned) : >"$STATE/cordoned" ;;
uncordoned) rm -f "$STATE/cordoned" ;;
*) fail "the order is not understood: $1" ;;
esac
say end
