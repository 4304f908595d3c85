#!/bin/sh
# Give the host the name in SLIPWAY_HOST_NAME: in /etc/hostname for every boot, and at once. Run as often as you like.
set -eu

read -r written </etc/hostname 2>/dev/null || written=''
if [ "$written" != "$SLIPWAY_HOST_NAME" ]; then
    umask 022
    next=/etc/.hostname.slipway-new
    printf '%s\n' "$SLIPWAY_HOST_NAME" >"$next"
    sync -- "$next"
    mv -fT -- "$next" /etc/hostname
    if command -v restorecon >/dev/null; then restorecon /etc/hostname || true; fi
fi
read -r running </proc/sys/kernel/hostname
[ "$running" = "$SLIPWAY_HOST_NAME" ] || printf '%s\n' "$SLIPWAY_HOST_NAME" >/proc/sys/kernel/hostname
