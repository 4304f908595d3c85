# Make what is staged real, for some phases of one host. $1 is the digest of the generation. Can be killed anywhere and run again:
# what a restart is owed is written down before the file that causes it is renamed, and crossed out after the restart.
# Input: phase P (to activate, in order) | later U (a unit whose own phase comes later) | owe U (to be restarted if it runs)
# | drop PATH RESTARTS RELOADS (left the manifest; the named units still read it) | about LINE (who does this) | noblock | end
make_state
umask 022
digest=$1 about='' phases=$NL later=$NL drops='' block='' owing='' records=$STATE/installed.phase.$$ waiting='' failed='' wishes=''
take_order
IFS=$NL
for line in $order; do
    value=${line#*"$TAB"}
    case ${line%%"$TAB"*} in
    phase) phases=$phases$value$NL ;;
    later) later=$later$value$NL ;;
    owe) owing=$owing$value, ;;
    drop) drops=$drops$value$NL ;;
    about) about=$value ;;
    noblock) block=--no-block ;;
    *) fail "the order is not understood: $line" ;;
    esac
done
unset IFS
# What began is brought to its end although the connection is cut in the middle: nobody hears about it then, and no half of
# the files is left without its restart.
trap '' PIPE
exec </dev/null
wait_for_another
staged=$STATE/staged/$digest
[ -f "$staged/manifest" ] || fail "generation $digest is not staged; run \`invoke push\`"
# All that follows goes by one list, even if somebody takes the folder away: half a list must not pass for the whole.
manifest=$STATE/list.$$
trap 'rm -f -- "$manifest"; leave_place' EXIT
cp -- "$staged/manifest" "$manifest" || fail "the manifest of generation $digest cannot be copied in $STATE; run the same command again"
set_out "$digest" "$about"

mine() { case $phases in *"$NL$phase$NL"*) return 0 ;; esac; return 1; }

# A mark: this unit is owed a restart (or a reload, which a restart covers).
owe() {
    IFS=,
    for unit in $2; do
        [ "$unit" != - ] || continue
        if [ "$1" = restart ] || [ ! -f "$STATE/pending/$unit" ]; then
            printf '%s\n' "$1" >"$STATE/pending/$unit" || fail "$STATE/pending cannot be written"
        fi
    done
    IFS=$TAB
}

# Called just before a path changes or goes. $1 is what the operator is told.
announce() {
    keep_copy "$key"
    mark
    say "$1" "$key"
}

# Write down what the change of $key makes necessary.
mark() {
    owe restart "$restarts"
    owe reload "$reloads"
    case $key in
    # What systemd itself reads; the defaults of system.conf.d hold for units that start after it has.
    /etc/systemd/system/* | /etc/systemd/system.conf.d/* | /run/systemd/system/*)
        printf 'reload\n' >"$STATE/pending/.daemon-reload" || fail "$STATE/pending cannot be written"
        ;;
    esac
}

# Whether the file at $key has the wanted content. Without a staged copy, our own record must say so.
has_content() {
    [ -f "$ROOT$key" ] && [ ! -L "$ROOT$key" ] || return 1
    if [ -f "$staged/blobs/$blob" ]; then
        cmp -s "$staged/blobs/$blob" "$ROOT$key"
        return
    fi
    sum=$(sum_of "$ROOT$key")
    [ "$sum" != "$id" ] || return 0
    [ -r "$STATE/installed" ] || return 1
    while IFS=$TAB read -r other _ _ _ recorded _ _ _ recorded_id _; do
        if [ "$other" = "$key" ]; then
            [ "$recorded" = "$sum" ] && [ "$recorded_id" = "$id" ]
            return
        fi
    done <"$STATE/installed"
    return 1
}

# Whether we own what $key names.
has_record() {
    [ -r "$STATE/installed" ] || return 1
    while IFS=$TAB read -r other _; do
        [ "$other" != "$key" ] || return 0
    done <"$STATE/installed"
    return 1
}

# Whether the program at $key still is what we put there, by its whole content.
is_ours() {
    while IFS=$TAB read -r other _ _ _ recorded _; do
        if [ "$other" = "$key" ]; then
            [ "$recorded" = "$(sum_of "$ROOT$key")" ]
            return
        fi
    done <"$STATE/installed"
    return 1
}

owe restart "$owing"
drop_policy
: >"$records"
packages='' users='' accounts=''
while IFS=$TAB read -r kind key mode owner group phase component id blob extra restarts reloads; do
    mine || continue
    case $kind in
    package)
        name=${key#package:}
        if command -v dpkg-query >/dev/null; then
            [ "$(dpkg-query -W -f='${db:Status-Status}' -- "$name" 2>/dev/null)" = installed ] || packages=$packages$name$NL
        else
            rpm -q -- "$name" >/dev/null 2>&1 || packages=$packages$name$NL
        fi
        ;;
    file)
        # systemd-sysusers reads these before a file of such an owner arrives.
        case $key in
        /etc/sysusers.d/*)
            if [ -f "$staged/blobs/$blob" ]; then accounts=$accounts$(cat "$staged/blobs/$blob")$NL; elif [ -f "$ROOT$key" ]; then accounts=$accounts$(cat "$ROOT$key")$NL; fi
            ;;
        esac
        ;;
    user)
        name=${key#user:}
        # Ours is a user that we make; one who was there before us stays when he leaves the manifest.
        if ! id -u -- "$name" >/dev/null 2>&1; then
            say changed "$key"
            record_line "$key" "$kind" "$phase" "$component" "$extra" >>"$records" ||
                fail "the records cannot be written"
        elif has_record; then
            record_line "$key" "$kind" "$phase" "$component" "$extra" >>"$records" ||
                fail "the records cannot be written"
        fi
        users="${users}u $name - \"$name\"$NL"
        if [ "$extra" != - ]; then
            IFS=,
            for other in $extra; do users="${users}g $other -${NL}m $name $other$NL"; done
            IFS=$TAB
        fi
        ;;
    esac
    [ "$kind" != package ] || record_line "$key" "$kind" "$phase" "$component" "$extra" >>"$records" ||
        fail "the records cannot be written"
done <"$manifest"
if [ -n "$packages" ]; then
    add_packages "$packages"
    IFS=$NL
    for name in $packages; do say changed "package:$name"; done
fi
disable_new_units
if [ -n "$accounts$users" ]; then
    # Written down first: a user that a killed run has made is ours too.
    cp -- "$records" "$records.users" || fail "the records cannot be written"
    keep_records "$records.users"
    printf '%s' "$accounts$users" | systemd-sysusers --root="${ROOT:-/}" - 1>&2 || fail "systemd-sysusers cannot make the system users"
fi

# Folders first, then every new content beside its path, then one flush, then the renames.
while IFS=$TAB read -r kind key mode owner group phase component id blob extra restarts reloads; do
    mine || continue
    full=$ROOT$key
    case $kind in
    directory)
        if [ ! -d "$full" ]; then
            mkdir -p -- "$full" || fail "$key cannot be made"
            say changed "$key"
        fi
        if [ "$(stat -L -c '0%a %U %G' -- "$full")" != "$mode $owner $group" ]; then
            chown -- "$owner:$group" "$full" && chmod "$mode" "$full" || fail "$key cannot be given owner and mode"
        fi
        label "$full" "$key"
        record_line "$key" "$kind" "$phase" "$component" - >>"$records" ||
            fail "the records cannot be written"
        ;;
    binary)
        [ -f "$full" ] && [ ! -L "$full" ] && [ "$(stat -c '0%a %U %G' -- "$full")" != "$mode $owner $group" ] || continue
        chown -- "$owner:$group" "$full" && chmod "$mode" "$full" || fail "$key cannot be given owner and mode"
        say changed "$key"
        # Whoever could write it may have done so and given it back its old time, by which it would pass for ours.
        is_ours || {
            touch -- "$full"
            fail "$key has been written by somebody else; run the same command again, which sends it anew"
        }
        ;;
    file | secret)
        if has_content; then
            if [ "$(stat -c '0%a %U %G' -- "$full")" != "$mode $owner $group" ]; then
                chown -- "$owner:$group" "$full" && chmod "$mode" "$full" || fail "$key cannot be given owner and mode"
                say changed "$key"
            fi
            continue
        fi
        [ ! -d "$full" ] || [ -L "$full" ] || fail "$key is a folder on the host and a file in the manifest; remove the folder"
        [ -f "$staged/blobs/$blob" ] || fail "the content of $key is not staged; run \`invoke push\`"
        next=$(sibling "$full")
        mkdir -p -- "${full%/*}" || fail "${key%/*} cannot be made"
        rm -f "$next"
        (umask 077 && cat "$staged/blobs/$blob" >"$next") || fail "$key cannot be written"
        chown -- "$owner:$group" "$next" && chmod "$mode" "$next" || fail "$key cannot be given owner and mode"
        label "$next" "$key"
        waiting=$waiting$next$NL wishes=$wishes$key$TAB$restarts$TAB$reloads$NL
        ;;
    esac
done <"$manifest"
if [ -n "$waiting" ]; then
    IFS=$NL
    sync -- $waiting || fail "the new files cannot be flushed to disk"
fi
# Copies, marks and the room for the records come before the first rename: a full disk stops the run while nothing is swapped.
while IFS=$TAB read -r key restarts reloads; do
    [ -z "$key" ] || keep_copy "$key"
done <<END
$wishes
END
room=$STATE/installed.room.$$
[ -f "$STATE/installed" ] || : >>"$STATE/installed"
cat "$STATE/installed" "$STATE/installed" "$manifest" >"$room" || {
    rm -f -- "$room"
    fail "there is no room for the records in $STATE"
}
rm -f -- "$room"
while IFS=$TAB read -r key restarts reloads; do
    [ -z "$key" ] || mark
done <<END
$wishes
END
sync -- "$STATE/pending"
# What is new is ours before it is there: a kill after its rename must not leave a file that nobody takes away again. A
# rename keeps size, inode and mtime, so the record is true as soon as the file is in place.
: >"$records.new"
while IFS=$TAB read -r kind key mode owner group phase component id blob extra restarts reloads; do
    mine || continue
    facts=-$TAB-$TAB-$TAB-
    case $kind in
    file | secret)
        next=$(sibling "$ROOT$key")
        case $NL$waiting in *"$NL$next$NL"*) ;; *) continue ;; esac
        ! has_record || continue
        facts=$(sum_of "$next")$TAB$(stat --printf='%s\t%i\t%.9Y' -- "$next") || fail "$next cannot be read"
        ;;
    link)
        ! has_record || continue
        id=$extra
        ;;
    *) continue ;;
    esac
    say "$key" "$kind" "$phase" "$component" "$facts" "$id" "$restarts" "$reloads" >>"$records.new" ||
        fail "the records cannot be written"
done <"$manifest"
if [ -s "$records.new" ]; then keep_records "$records.new"; else rm -f -- "$records.new"; fi
while IFS=$TAB read -r kind key mode owner group phase component id blob extra restarts reloads; do
    mine || continue
    full=$ROOT$key
    case $kind in
    file | secret)
        next=$(sibling "$full")
        case $NL$waiting in
        *"$NL$next$NL"*)
            announce changed
            mv -fT -- "$next" "$full" || fail "$key cannot be put in place"
            ;;
        esac
        record_line "$key" "$kind" "$phase" "$component" "$id" "$restarts" "$reloads" >>"$records" ||
            fail "the records cannot be written"
        ;;
    link)
        if [ "$(readlink -- "$full")" != "$extra" ]; then
            mkdir -p -- "${full%/*}" || fail "${key%/*} cannot be made"
            next=$(sibling "$full")
            rm -f "$next"
            ln -s -- "$extra" "$next" || fail "$key cannot be made"
            label "$next" "$key"
            announce changed
            mv -fT -- "$next" "$full" || fail "$key cannot be put in place: a folder is in the way"
        fi
        record_line "$key" "$kind" "$phase" "$component" "$extra" "$restarts" "$reloads" >>"$records" ||
            fail "the records cannot be written"
        ;;
    unit) record_line "$key" "$kind" "$phase" "$component" "$id" >>"$records" || fail "the records cannot be written" ;;
    esac
done <"$manifest"
sync -- "$STATE"
keep_records "$records"

# What left the manifest and is still read by a unit: the marks are on disk before the first file goes, and its record goes
# before the restart, so that a kill leaves either the file or a mark.
if [ -n "$drops" ]; then
    gone=$STATE/installed.gone.$$ doomed=''
    : >"$gone"
    while IFS=$TAB read -r key restarts reloads; do
        [ -n "$key" ] || continue
        while IFS=$TAB read -r other kind _ _ recorded _ _ _ recorded_id _; do
            [ "$other" = "$key" ] || continue
            printf '%s\n' "$key" >>"$gone"
            why_kept "$kind" "$ROOT$key" "$recorded" "$recorded_id"
            if [ -n "$kept" ]; then say kept "$key" "$kept"; else announce removed && doomed=$doomed$key$NL; fi
            break
        done <"$STATE/installed"
    done <<END
$drops
END
    sync -- "$STATE/pending"
    IFS=$NL
    for key in $doomed; do take_away "$key" || fail "$key left the manifest and cannot be deleted"; done
    forget_records "$gone"
fi

if [ -f "$STATE/pending/.daemon-reload" ]; then
    systemctl daemon-reload || fail "systemctl daemon-reload failed"
    rm -f "$STATE/pending/.daemon-reload"
fi

# $1 verb, $2 unit: one thing done to a unit; what is owed stays owed where it fails.
act() {
    if words=$(systemctl --quiet $block "$1" "$2" 2>&1); then
        say "$1" "$2"
        rm -f "$STATE/pending/$2"
    else
        # systemd's own reason, such as a unit that somebody masked, stands in no journal.
        say failed "$2" "$1" "$(printf '%s' "${words%%"$NL"*}" | tr '\t' ' ')"
        failed=yes
    fi
}

known=$NL
while IFS=$TAB read -r kind key mode owner group phase component id blob extra restarts reloads; do
    [ "$kind" = unit ] || continue
    unit=${key#unit:}
    mine || continue
    known=$known$unit$NL
    case $(systemctl is-enabled "$unit" 2>/dev/null) in
    disabled | indirect) systemctl --quiet enable "$unit" 1>&2 && say enabled "$unit" || { say failed "$unit" enable && failed=yes; } ;;
    esac
    owed=''
    # An empty mark is what a crash or a full disk leaves of one: the greater debt is assumed.
    [ ! -f "$STATE/pending/$unit" ] || { IFS= read -r owed <"$STATE/pending/$unit"; owed=${owed:-restart}; }
    state=$(systemctl is-active "$unit" 2>/dev/null)
    case $extra$TAB$state$TAB$owed in
    *"$TAB"active"$TAB"restart | *"$TAB"reloading"$TAB"restart | *"$TAB"activating"$TAB"restart) act restart "$unit" ;;
    *"$TAB"active"$TAB"reload) act reload-or-restart "$unit" ;;
    *"$TAB"active"$TAB" | *"$TAB"reloading"$TAB"*) ;;
    start"$TAB"activating"$TAB" | start"$TAB"activating"$TAB"reload)
        # An attempt that began before the new files came, such as new certificates for expired ones, is of no worth.
        [ -n "$block" ] || act "${waiting:+re}start" "$unit"
        ;;
    start"$TAB"*) act start "$unit" ;;
    *) rm -f "$STATE/pending/$unit" ;;
    esac
done <"$manifest"
# Units of the system itself, and units of earlier phases: only where they run.
set +f
for mark in "$STATE/pending"/*; do
    [ -f "$mark" ] || continue
    unit=${mark##*/}
    case $known$later in *"$NL$unit$NL"*) continue ;; esac
    IFS= read -r owed <"$mark"
    case $(systemctl is-active "$unit" 2>/dev/null) in
    active | activating | reloading) ;;
    *) rm -f "$mark" && continue ;;
    esac
    case $owed in reload) act try-reload-or-restart "$unit" ;; *) act try-restart "$unit" ;; esac
done
say end
[ -z "$failed" ] || exit 3
