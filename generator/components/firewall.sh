#!/bin/sh
# The rule set of this host: load it, confirm it, restore what was proved before, remove it. Of nftables only the
# table inet slipway is ever touched.
#
# A rule set that has not been confirmed on this host is loaded with a timer behind it, which puts the last confirmed
# one back, or none where there is none yet. So rules that lock the operator out last for as long as the timer runs.
set -eu

rules=/etc/slipway/firewall.nft
kept=/var/lib/slipway/firewall
loaded=/run/slipway-firewall/loaded
timer=slipway-firewall-restore.timer
table='inet slipway'

fail() {
    echo "$1" >&2
    exit 1
}

digest() {
    cat /etc/slipway/firewall*.nft | sha256sum | cut -d ' ' -f 1
}

# The first line of the file $1, empty without one.
line_of() {
    found=''
    [ ! -r "$1" ] || IFS= read -r found <"$1" || true
    printf '%s' "$found"
}

load() {
    sum=$(digest)
    nft -f "$rules"
    printf '%s\n' "$sum" >"$loaded"
    if [ "$(line_of "$kept/confirmed")" = "$sum" ]; then
        systemctl --no-block stop "$timer"
    else
        echo "loaded; taken back by itself unless slipway-firewall-confirm.service is started in time" >&2
        systemctl --no-block restart "$timer"
    fi
}

confirm() {
    sum=$(digest)
    [ "$(line_of "$loaded")" = "$sum" ] ||
        fail "what is loaded is not what lies in $rules; run \`systemctl reload-or-restart slipway-firewall\`, then confirm that"
    # shellcheck disable=SC2086 # two words
    nft list table $table >/dev/null || fail "our table is not loaded; run \`systemctl restart slipway-firewall\`"
    systemctl stop "$timer"
    [ "$(line_of "$kept/confirmed")" != "$sum" ] || return 0
    mkdir -p "$kept"
    # shellcheck disable=SC2086 # two words
    nft -s list table $table >"$kept/rules.nft.new"
    # Without its mark the copy is not believed, so the mark goes first and comes last.
    rm -f "$kept/confirmed"
    mv -f "$kept/rules.nft.new" "$kept/rules.nft"
    printf '%s\n' "$sum" >"$kept/confirmed.new"
    sync "$kept/rules.nft" "$kept/confirmed.new"
    mv -f "$kept/confirmed.new" "$kept/confirmed"
}

restore() {
    if [ -s "$kept/confirmed" ] && [ -s "$kept/rules.nft" ] && {
        printf 'table %s\ndelete table %s\n' "$table" "$table"
        cat "$kept/rules.nft"
    } | nft -f -; then
        echo "nobody confirmed the new rules, so those confirmed last are back; look at $rules and run the apply again" >&2
    else
        echo "nobody confirmed the new rules and none were confirmed before: this host has no rules of ours now; look at $rules and run the apply again" >&2
    fi
}

remove() {
    rm -f "$loaded"
    # Who takes the firewall out of the spec may come back to it by another way: then it is to be proved again.
    [ "$(systemctl is-enabled slipway-firewall.service 2>/dev/null)" != disabled ] || rm -f "$kept/confirmed"
    # shellcheck disable=SC2086 # two words
    ! nft list table $table >/dev/null 2>&1 || nft delete table $table
}

case ${1-} in
    load | confirm | restore | remove) "$1" ;;
    *) fail "usage: firewall load|confirm|restore|remove" ;;
esac
