#!/bin/sh
# Say which network interface carries the virtual address: the one that has the host's own address.
# It is asked at each start, so that neither the spec nor a rendered file needs to know it. keepalived includes the answer.
set -eu
found=$(ip -o address show to "$SLIPWAY_NODE_IP" | awk '{ print $2; exit }')
if [ -z "$found" ]; then
    echo "no interface has $SLIPWAY_NODE_IP; correct the host's address in cluster.yaml, or name api.vip.interface" >&2
    exit 1
fi
# What begins with a dollar is a definition to keepalived, not to this shell.
printf '%sENDPOINT_INTERFACE=%s\n' '$' "${found%%@*}" >@FILE@
