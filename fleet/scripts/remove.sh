# Take away what left the manifest, in the given order. $1 is the digest of the generation that the host goes to.
# Input: about LINE (who does this), then kind, key; a user of kind "stays" is only forgotten; then end. What we did not write is
# named and kept; what was ours is kept for a rollback, save binaries: those of the previous generation never get here.
make_state
digest=$1 generation=''
take_order
# What began is brought to its end although the connection is cut in the middle.
trap '' PIPE
exec </dev/null
wait_for_another
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
IFS=$NL
for line in $order; do
    IFS=$TAB
    kind=${line%%"$TAB"*} key=${line#*"$TAB"}
    if [ "$kind" = about ]; then
        set_out "$digest" "$key"
        continue
    fi
    full=$ROOT$key
    recorded_of "$key" || continue
    kept=''
    case $kind in
    unit)
        unit=${key#unit:}
        # What is mounted may be in use, and may be the only copy: that it left the spec is no reason to take it away.
        case $unit in
        *.mount) [ "$(systemctl is-active "$unit" 2>/dev/null)" != active ] || fail "$unit left the spec and is mounted: an apply unmounts no data disk. Put it back into the spec, or stop what uses it, move its data, \`systemctl disable --now '$unit'\`, delete /etc/systemd/system/$unit (what needs its folder would mount it again), \`systemctl daemon-reload\`, and run again" ;;
        esac
        systemctl --quiet --now disable "$unit" 1>&2 || systemctl --quiet stop "$unit" 1>&2
        # Its files may go only when it has stopped; the records stay, so that the next run tries again.
        case $(systemctl is-active "$unit" 2>/dev/null) in
        active | activating | reloading | deactivating) fail "$unit cannot be stopped, so its files stay; stop it and run again" ;;
        esac
        # One that had to be killed is remembered as failed, long after its files are gone.
        systemctl --quiet reset-failed "$unit" 2>/dev/null
        rm -f "$STATE/pending/$unit"
        ;;
    binary)
        why_kept "$kind" "$full" "$recorded" "$recorded_id"
        [ -n "$kept" ] || rm -f -- "$full" || kept='it cannot be deleted'
        rmdir --ignore-fail-on-non-empty -- "${full%/*}" 2>/dev/null
        ;;
    file | secret | link)
        why_kept "$kind" "$full" "$recorded" "$recorded_id"
        if [ -z "$kept" ]; then
            keep_copy "$key"
            take_away "$key" || kept='it cannot be deleted'
            # The folder of drop-ins came with the first of them.
            case $key in /etc/systemd/system/*.d/*) rmdir --ignore-fail-on-non-empty -- "${full%/*}" 2>/dev/null ;; esac
        fi
        case $key in /etc/systemd/system/* | /etc/systemd/system.conf.d/*) reload=yes ;; esac
        ;;
    directory)
        if [ -d "$full" ] && [ ! -L "$full" ]; then rmdir -- "$full" 2>/dev/null || kept='it is not empty'; fi
        ;;
    package) kept='packages stay installed' ;;
    stays) kept='it stays after a rollback' ;;
    user)
        if id -u -- "${key#user:}" >/dev/null 2>&1; then
            # The last process of a unit that has just stopped may still be there for a moment.
            for _ in 1 2 3 4 5 6 7 8 9 10; do
                why=$(userdel -- "${key#user:}" 2>&1) && kept='' && break
                kept="it cannot be deleted: $(printf '%s' "$why" | tr '\n\t' '  ')"
                sleep 1
            done
        fi
        ;;
    esac
    if [ -n "$kept" ]; then say kept "$key" "$kept"; else say removed "$key"; fi
    printf '%s\n' "$key" >>"$gone"
done
[ -z "$reload" ] || systemctl daemon-reload 1>&2
forget_records "$gone"
say end
