# Take away what left the manifest, in the given order. Input: kind, key. What we did not write is named and kept.
make_state
gone=$STATE/installed.gone.$$
: >"$gone"
reload=''
recorded_of() {
    recorded='' recorded_id=''
    while IFS=$TAB read -r other _ _ _ found _ _ _ found_id _; do
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
    file | secret | binary | link)
        why_kept "$kind" "$full" "$recorded" "$recorded_id"
        [ -n "$kept" ] || rm -f -- "$full" || kept='it cannot be deleted'
        [ "$kind" != binary ] || rmdir --ignore-fail-on-non-empty -- "${full%/*}" 2>/dev/null
        case $key in /etc/systemd/system/*) reload=yes ;; esac
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
forget_records "$gone"
say end
