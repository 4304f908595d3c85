#!/bin/sh
# Routes to the pod subnets of the other nodes, and masquerading for what pods send out of the pod network.
# Usage: bridge-routes install|remove. Run as often as you like; it touches only routes of its own protocol number and
# a chain of its own. SLIPWAY_NODE_IP and SLIPWAY_POD_CIDRS are lists with commas.
set -eu

list=/etc/bridge/routes
protocol=83
chain=SLIPWAY-BRIDGE
status=0

family_of() {
    case $1 in *:*) echo 6 ;; *) echo 4 ;; esac
}

install_routes() {
    wanted=' '
    while read -r subnet _ address _; do
        case $subnet in '' | '#'*) continue ;; esac
        [ "$(family_of "$subnet")" = "$1" ] || continue
        case ",$SLIPWAY_NODE_IP," in *",$address,"*) continue ;; esac
        wanted="$wanted$subnet "
        ip "-$1" route replace "$subnet" via "$address" proto "$protocol" || {
            echo "no route to $subnet via $address: is that node in this network?" >&2
            status=1
        }
    done <"$list"
    for subnet in $(our_routes "$1"); do
        case $wanted in *" $subnet "*) ;; *) ip "-$1" route del "$subnet" proto "$protocol" || status=1 ;; esac
    done
}

our_routes() {
    ip "-$1" route show proto "$protocol" 2>/dev/null | while read -r subnet _; do echo "$subnet"; done
}

iptables_of() {
    case $1 in 6) echo ip6tables ;; *) echo iptables ;; esac
}

multicast_of() {
    case $1 in 6) echo ff00::/8 ;; *) echo 224.0.0.0/4 ;; esac
}

# One transaction empties and fills the chain, so that there is no moment without the rule.
masquerade() {
    tables=$(iptables_of "$1")
    "$tables-restore" -w --noflush <<RULES || { status=1; return 0; }
*nat
:$chain - [0:0]
-A $chain ! -s $2 -j RETURN
-A $chain -d $2 -j RETURN
-A $chain -d $(multicast_of "$1") -j RETURN
-A $chain -j MASQUERADE
COMMIT
RULES
    "$tables" -w -t nat -C POSTROUTING -j "$chain" 2>/dev/null || "$tables" -w -t nat -A POSTROUTING -j "$chain" || status=1
}

install() {
    for family in 4 6; do install_routes "$family"; done
    for cidr in $(echo "$SLIPWAY_POD_CIDRS" | tr ',' ' '); do masquerade "$(family_of "$cidr")" "$cidr"; done
}

remove() {
    for family in 4 6; do
        for subnet in $(our_routes "$family"); do ip "-$family" route del "$subnet" proto "$protocol" || status=1; done
        tables=$(iptables_of "$family")
        "$tables" -w -t nat -D POSTROUTING -j "$chain" 2>/dev/null || continue
        "$tables" -w -t nat -F "$chain" && "$tables" -w -t nat -X "$chain" || status=1
    done
}

case ${1-} in
    install | remove) "$1" ;;
    *)
        echo "usage: bridge-routes install|remove" >&2
        exit 64
        ;;
esac
exit "$status"
