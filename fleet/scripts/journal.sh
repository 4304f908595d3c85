# Add a line to the journal of the cluster (standard input, then end), or give its last lines. $1: add | tail COUNT
case $1 in
add)
    take_order
    make_state
    printf '%s' "$order" | cat >>"$STATE/journal" || fail "the journal cannot be written"
    sync "$STATE/journal"
    ;;
tail) [ ! -r "$STATE/journal" ] || tail -n "$2" "$STATE/journal" | while IFS= read -r line; do say entry "$line"; done ;;
*) fail "the order is not understood: $1" ;;
esac
say end
