# Take away what left the manifest, in the given order. Input: kind, key. What we did not write is named and kept.
make_state
gone=$STATE/installed.gone.$$
: >"$gone"
reload=''
recorded_of() {
    recorded='' recorded_id=''
    while IFS=$TAB read -r other _ _ _ found _ _ _ found_id; do
        [ "$other" != "$1" ] || { recorded=$found recorded_id=$found_id && return 0; }
    done <"$STATE/installed"
    return 1
}
while IFS=$TAB read -r kind key; do
    full=$ROOT$key
    recorded_of "$key" || continue
    kept=''
    case $kind in
    unit)
        unit=${key#unit:}
        systemctl --quiet --now disable "$unit" 1>&2 </dev/null || systemctl --quiet stop "$unit" 1>&2 </dev/null
        # Its files may go only when it has stopped; the records stay, so that the next run tries again.
        case $(systemctl is-active "$unit" 2>/dev/null </dev/null) in
        active | activating | reloading | deactivating) fail "$unit cannot be stopped, so its files stay; stop it and run again" ;;
        esac
        rm -f "$STATE/pending/$unit"
        ;;
    file | secret | binary)
        if [ -L "$full" ] || { [ -e "$full" ] && [ ! -f "$full" ]; }; then
            kept='it is no longer a file'
        elif [ -f "$full" ] && [ "$(sum_of "$full")" != "$recorded" ]; then
            kept='somebody else has changed it'
        else
            rm -f -- "$full" || kept='it cannot be deleted'
        fi
        [ "$kind" != binary ] || rmdir --ignore-fail-on-non-empty -- "${full%/*}" 2>/dev/null
        case $key in /etc/systemd/system/*) reload=yes ;; esac
        ;;
    link)
        if [ -L "$full" ] && [ "$(readlink -- "$full")" = "$recorded_id" ]; then
            rm -f -- "$full" || kept='it cannot be deleted'
        elif [ -e "$full" ] || [ -L "$full" ]; then
            kept='somebody else has changed it'
        fi
        ;;
    directory)
        if [ -d "$full" ] && [ ! -L "$full" ]; then rmdir -- "$full" 2>/dev/null || kept='it is not empty'; fi
        ;;
    package) kept='packages stay installed' ;;
    user)
        if id -u -- "${key#user:}" >/dev/null 2>&1; then
            userdel -- "${key#user:}" 1>&2 </dev/null || kept='it cannot be deleted'
        fi
        ;;
    esac
    if [ -n "$kept" ]; then say kept "$key" "$kept"; else say removed "$key"; fi
    printf '%s\n' "$key" >>"$gone"
done
[ -z "$reload" ] || systemctl daemon-reload 1>&2 </dev/null
sort -u "$gone" | join -t "$TAB" -v 1 "$STATE/installed" - >"$STATE/installed.new" || fail "the records cannot be written"
sync "$STATE/installed.new"
mv -f "$STATE/installed.new" "$STATE/installed"
rm -f "$gone"
say end
