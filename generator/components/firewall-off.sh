#!/bin/sh
# Stop and disable the firewall services that distributions ship, each in its own way; the reverse is never done here.
# What is not installed, or neither runs nor is enabled, is left alone.
set -eu

ours=slipway-firewall.service
stopped=''
for unit in firewalld.service ufw.service nftables.service; do
    case $(systemctl is-enabled "$unit" 2>/dev/null)/$(systemctl is-active "$unit" 2>/dev/null) in
        enabled/* | enabled-runtime/* | */active | */activating | */reloading) ;;
        *) continue ;;
    esac
    systemctl --quiet disable --now "$unit" || {
        echo "$unit cannot be stopped; see its journal, stop it by hand and start this unit again" >&2
        exit 1
    }
    echo "$unit was stopped and disabled"
    stopped=yes
done
# nftables.service takes away the tables of everybody when it stops; ours is put back at once.
if [ -n "$stopped" ] && systemctl --quiet is-active "$ours"; then systemctl reload "$ours"; fi
