# Which kernel runs, and a reboot. $1: look | now BOOT (only while the boot with that id lasts)
case $1 in
look)
    say_kernel
    # Which boot was ended by a run that has not let the host go yet.
    ended=''
    [ ! -r "$STATE/rebooting" ] || IFS= read -r ended <"$STATE/rebooting"
    [ -z "$ended" ] || say rebooting "$ended"
    ;;
now)
    boot=''
    [ ! -r "$ROOT/proc/sys/kernel/random/boot_id" ] || IFS= read -r boot <"$ROOT/proc/sys/kernel/random/boot_id"
    # An order that comes twice, or late, must not take down the boot that it has led to.
    if [ -n "$boot" ] && [ "$boot" = "$2" ]; then
        make_state
        # What another run still does here has its end first.
        trap '' PIPE
        wait_for_another
        printf '%s\n' "$2" >"$STATE/rebooting.new" && sync "$STATE/rebooting.new" &&
            mv -f "$STATE/rebooting.new" "$STATE/rebooting" && sync "$STATE" || fail "$STATE/rebooting cannot be written"
        # Queued only: this answer leaves before sshd goes down.
        systemctl --no-block reboot 1>&2 || fail 'systemctl reboot is refused; see `systemctl list-jobs` there'
    fi
    ;;
*) fail "the order is not understood: $1" ;;
esac
say end
