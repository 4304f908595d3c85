#!/bin/sh
# Set the zone in SLIPWAY_TIME_ZONE as systemd reads it, and in Debian's file of old. Run as often as you like.
set -eu

zone=/usr/share/zoneinfo/$SLIPWAY_TIME_ZONE
if [ ! -f "$zone" ]; then
    echo "$zone is not there: this release does not know the zone; take its older name, or update the package tzdata" >&2
    exit 1
fi
umask 022
if [ "$(readlink -- /etc/localtime)" != "..$zone" ] && [ "$(readlink -- /etc/localtime)" != "$zone" ]; then
    next=/etc/.localtime.slipway-new
    rm -f -- "$next"
    ln -s -- "..$zone" "$next"
    mv -fT -- "$next" /etc/localtime
    if command -v restorecon >/dev/null; then restorecon /etc/localtime || true; fi
fi
if [ -f /etc/timezone ]; then
    read -r written </etc/timezone || written=''
    if [ "$written" != "$SLIPWAY_TIME_ZONE" ]; then
        next=/etc/.timezone.slipway-new
        printf '%s\n' "$SLIPWAY_TIME_ZONE" >"$next"
        mv -fT -- "$next" /etc/timezone
    fi
fi
