# Where a host comes from: its generation, the one before, who made them, and whether it is in the middle of a change.
# Changes nothing. $1: look | items DIGEST (the manifest of a generation, and what is known of texts with secrets in any).
present='' before=''
[ ! -r "$STATE/generation" ] || { IFS= read -r present && IFS= read -r before; } <"$STATE/generation"
about_of() {
    line=''
    if [ -r "$2" ]; then IFS= read -r line <"$2"; fi
    [ -z "$line" ] || say "$1" "$line"
}
case $1 in
look)
    [ -z "$present" ] || say generation "$present"
    if [ -n "$before" ] && [ -r "$STATE/previous/$before/manifest" ]; then
        say before "$before"
        about_of before-about "$STATE/previous/$before/about"
    fi
    # As the present generation was when the host set out from it, where a killed run has begun to write the next one.
    about_of about "$STATE/about"
    [ -z "$present" ] || about_of about "$STATE/previous/$present/about"
    about_of underway "$STATE/underway"
    ;;
items)
    manifest=$STATE/previous/$2/manifest
    [ -r "$manifest" ] || [ "$2" != "$present" ] || manifest=$STATE/manifest
    [ -r "$manifest" ] || fail "the manifest of generation $2 is not kept"
    while IFS= read -r line; do say item "$line"; done <"$manifest"
    set +f
    for manifest in "$STATE/manifest" "$STATE/previous"/*/manifest "$STATE/staged"/*/manifest "$STATE/left"/*; do
        [ -r "$manifest" ] || continue
        while IFS=$TAB read -r kind key _ _ _ _ _ id _ extra _; do
            [ "$kind" != secret ] || [ "$extra" = - ] || say slots "$key" "$id" "$extra"
        done <"$manifest"
    done
    ;;
*) fail "the order is not understood: $1" ;;
esac
say end
