#!/bin/sh
# Stop and disable the firewall services that distributions ship, each in its own way; the reverse is never done here.
# What is not installed, or neither runs nor is enabled, is left alone.
set -eu

ours=slipway-firewall.service
drop_in=/run/systemd/system/nftables.service.d

# What follows the word $2 in the statements of the nft files $1, one statement on a line.
declared() {
    printf '%s\n' "$1" | while IFS= read -r file; do
        [ ! -f "$file" ] || sed 's/#.*//' "$file" | tr '{;}' '[\n*]'
    done | sed 's/^[[:space:]]*//; s/^\(add\|create\)[[:space:]]\{1,\}//; s/[[:space:]]\{1,\}/ /g; s/ $//' | sed -n "s/^$2 //p"
}

# What nftables.service loads, one file on a line: its own file and all that these include.
nft_files() {
    files=$(systemctl show --property=ExecStart --value nftables.service | sed -n 's/.* -f \([^ ;]*\).*/\1/p')
    known=''
    until [ "$files" = "$known" ]; do
        known=$files
        for pattern in $(declared "$known" include | sed -n 's/^"\([^"]*\)".*/\1/p'); do
            case $pattern in /*) ;; *) pattern=/etc/$pattern ;; esac
            # shellcheck disable=SC2086 # a pattern of file names
            files=$(printf '%s\n' "$files" $pattern)
        done
        files=$(printf '%s\n' "$files" | sort -u)
    done
    printf '%s\n' "$files"
}

# When nftables.service stops it flushes the tables of everybody: those of kube-proxy, which comes back to them within an
# hour only, and those of pod networks, which are written when a pod starts. So its own tables are taken away by name, and
# it stops without that. They go first: a run that is cut off in between begins again.
stop_nftables() {
    files=$(nft_files)
    chains=$(declared "$files" chain | cut -d ' ' -f 1)
    declared "$files" table | sort -u | while read -r family name; do
        [ -n "$name" ] || { name=$family && family=ip; }
        # Who saved everything that was loaded has these in his file too.
        case $name in slipway | kube-proxy | kubelet | calico | cilium | cni_* | flannel-*) continue ;; esac
        there=$(nft list table "$family" "$name" 2>/dev/null | sed -n 's/^[[:space:]]*chain \([^ ]*\) {.*/\1/p') || continue
        foreign=''
        for chain in $there; do
            case $chain in KUBE-* | CNI-* | FLANNEL-* | CILIUM_* | cali-*) foreign=$chain ;; esac
            printf '%s\n' "$chains" | grep -qxF -- "$chain" || foreign=$chain
        done
        if [ -n "$foreign" ]; then
            echo "the table $family $name of nftables.service is left until the next boot: others write into it ($foreign)"
        elif [ -n "$there" ] && nft delete table "$family" "$name"; then
            echo "the table $family $name of nftables.service was taken away"
        fi
    done
    mkdir -p "$drop_in"
    printf '[Service]\nExecStop=\n' >"$drop_in/slipway.conf"
    systemctl daemon-reload
    stopped_well=yes
    systemctl --quiet disable --now nftables.service || stopped_well=''
    rm -f "$drop_in/slipway.conf"
    rmdir --ignore-fail-on-non-empty "$drop_in"
    systemctl daemon-reload
    [ -n "$stopped_well" ]
}

stop() {
    case $1 in
    nftables.service) stop_nftables ;;
    *) systemctl --quiet disable --now "$1" ;;
    esac
}

stopped=''
for unit in firewalld.service ufw.service nftables.service; do
    case $(systemctl is-enabled "$unit" 2>/dev/null)/$(systemctl is-active "$unit" 2>/dev/null) in
        enabled/* | enabled-runtime/* | */active | */activating | */reloading) ;;
        *) continue ;;
    esac
    stop "$unit" || {
        echo "$unit cannot be stopped; see its journal, stop it by hand and start this unit again" >&2
        exit 1
    }
    echo "$unit was stopped and disabled"
    stopped=yes
done
# Whatever a service takes away when it stops, ours is put back at once.
if [ -n "$stopped" ] && systemctl --quiet is-active "$ours"; then systemctl reload "$ours"; fi
