"""The rule set of a managed firewall: the table `inet slipway`, from the port table of the spec.

It has one chain, on what comes in for the host itself. What a host passes on is not in it: pods reach pods, and what
may reach a pod is for NetworkPolicy to say. Tables of others are neither read nor touched: in nftables a packet must
pass every table, so ours can close a port and cannot open one that another table closes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from generator.formats.nft import Accept, AddressSet, block
from generator.spec.layout import ENV_DIR
from generator.spec.listener import IPIP, VRRP, Listener
from generator.spec.model import Cluster, Host, Pool, is_address
from generator.spec.ports import listeners, listens_otherwise, node_ports, own_listeners

TABLE = "inet slipway"
RULES = f"{ENV_DIR}/firewall.nft"
ADDRESSES = f"{ENV_DIR}/firewall-addresses.nft"
NODES = f"{ENV_DIR}/firewall-nodes.nft"
PORTS = f"{ENV_DIR}/firewall-ports.nft"
OWN = f"{ENV_DIR}/firewall-own.nft"

# A pattern may match nothing: only some hosts have ports of their own.
_OWN_PATTERN = f"{ENV_DIR}/firewall-own*.nft"
# Not among firewall*.nft, of which a rule set is known as confirmed: one of these goes when nothing is loaded.
_WAY = f"{ENV_DIR}/way-in-"
_WAYS = frozenset({"kube-apiserver", "endpoint-balancer", "endpoint-vip"})

_PROTOCOLS = {"tcp": ("tcp",), "udp": ("udp",), "any": ("tcp", "udp", "sctp")}
_NUMBERS = {IPIP: 4, "gre": 47, "esp": 50, VRRP: 112}
"""By number, since /etc/protocols may be missing (IANA's list of protocol numbers)."""

_ICMP = "destination-unreachable, echo-request, parameter-problem, time-exceeded"
# RFC 4890, 4.4: without neighbour discovery an IPv6 host is not on its network at all.
_ICMPV6 = (
    "destination-unreachable, echo-request, mld-listener-query, nd-neighbor-advert, nd-neighbor-solicit, "
    "nd-router-advert, packet-too-big, parameter-problem, time-exceeded"
)


def rules_text(cluster: Cluster) -> str:
    """Return the frame: one transaction that puts the whole table in the place of the one before."""
    chain = [
        "type filter hook input priority filter; policy drop;",
        "ct state established,related accept",
        'iifname "lo" accept',
        f"icmp type {{ {_ICMP} }} accept",
        f"icmpv6 type {{ {_ICMPV6} }} accept",
        # No reply to conntrack: the answer to a broadcast comes from the server's address (RFC 2131, 4.1).
        'udp sport 67 udp dport 68 accept comment "DHCP"',
        'ip6 saddr fe80::/10 udp dport 546 accept comment "DHCPv6"',
        *_ssh(cluster, cluster.ssh.port).lines(),
        f'include "{PORTS}"',
        f'include "{_OWN_PATTERN}"',
        f'include "{_WAY}*.nft"',
        'counter comment "dropped"',
    ]
    table = [f'include "{ADDRESSES}"']
    if uses_nodes(cluster):
        table.append(f'include "{NODES}"')
    body = block(f"table {TABLE}", [*table, "", *block("chain input", chain).splitlines()])
    return f"table {TABLE}\ndelete table {TABLE}\n\n{body}"


def addresses_text(cluster: Cluster) -> str:
    """Return the sets that stay small: etcd, control plane, load balancers, pods, and who enters by ssh."""
    sets = [_etcd(cluster), _control_plane(cluster), _pods(cluster), _operators(cluster)]
    if cluster.with_role("load-balancer"):
        sets.append(_load_balancers(cluster))
    return "".join(one.text() for one in sets)


def nodes_text(cluster: Cluster) -> str:
    """Return the set of all hosts: the one place that grows with the cluster, by one line for each."""
    return _nodes(cluster).text()


def uses_nodes(cluster: Cluster) -> bool:
    """Return whether a rule of the cluster names the set of all hosts."""
    pools = cluster.pools.values()
    named = any("nodes" in one.callers for pool in pools for one in (*listeners(cluster, pool), *own_listeners(pool)))
    return named or bool(cluster.firewall.node_protocols)


def ports_text(cluster: Cluster, pool: Pool) -> str:
    """Return the rules of a pool: what its roles listen on, and the user's own."""
    rules = [_rule(cluster, one) for one in _by_port([*listeners(cluster, pool), *own_listeners(pool)])]
    if pool.is_node:
        rules.append(_rule(cluster, node_ports(cluster)))
        rules += list(_services(cluster))
        for name in cluster.firewall.node_protocols:
            match = f"meta l4proto {_NUMBERS[name]}"
            rules.append(Accept((match,), f"{name} between nodes", (_nodes(cluster),)))
    return "".join(f"{line}\n" for rule in rules for line in rule.lines())


def ways(cluster: Cluster, pool: Pool) -> Mapping[str, str]:
    """Return a file for each port by which others enter the API, with a rule that its ports' file has as well.

    Rules are loaded early in a run, so a port that leaves the spec would be shut while others still enter by it: nodes
    by a virtual address, until it is their turn. Of two hosts with that address each would miss the other and take it.
    What left the spec goes after the last gate, so these keep the old port open until then. They name no set, since a
    set may leave with them.
    """
    groups = {"control-plane": cluster.control_plane, "load-balancer": cluster.with_role("load-balancer")}
    found = {}
    for one in listeners(cluster, pool):
        if one.component in _WAYS:
            known = [group for name, group in groups.items() if name in one.callers]
            literal = replace(
                _rule(cluster, one), sets=(), ranges=tuple(address for group in known for address in _addresses(group))
            )
            text = "".join(f"{line}\n" for line in literal.lines())
            found[f"{_WAY}{one.component}{f'-{one.port}' if one.port else ''}.nft"] = text
    return found


def own_text(cluster: Cluster, host: Host) -> str:
    """Return what one host opens beside its pool, for overrides, time that it serves and its ssh port; "" for nothing.

    The port that it uses no longer stays open to the same callers; nobody listens there.
    """
    usual = set(listeners(cluster, host.pool))
    own = [one for one in listeners(cluster, host.pool, host) if one not in usual] if listens_otherwise(host) else []
    rules = [_rule(cluster, one) for one in _by_port(own)]
    if host.ssh.port != cluster.ssh.port:
        rules.append(_ssh(cluster, host.ssh.port))
    return "".join(f"{line}\n" for rule in rules for line in rule.lines())


def _rule(cluster: Cluster, one: Listener) -> Accept:
    known = {
        "etcd": _etcd, "control-plane": _control_plane, "load-balancer": _load_balancers, "nodes": _nodes,
        "pods": _pods,
    }  # fmt: skip
    span = f"{one.port}-{one.last}" if one.last else f"{one.port}"
    without_ports = (f"meta l4proto {_NUMBERS[one.protocol]}",) if one.protocol in _NUMBERS else ()
    return Accept(
        matches=without_ports or tuple(f"{protocol} dport {span}" for protocol in _PROTOCOLS[one.protocol]),
        comment=f"{one.component}: {one.purpose}",
        # The host itself calls over lo, also by its own address.
        sets=tuple(known[caller](cluster) for caller in one.callers if caller in known),
        ranges=one.sources,
        anyone="anyone" in one.callers,
    )


def _ssh(cluster: Cluster, port: int) -> Accept:
    return Accept((f"tcp dport {port}",), "sshd: operators and jump hosts", (_operators(cluster),))


def _services(cluster: Cluster) -> Iterator[Accept]:
    """Yield what lets Services reach a pod on the host's own network, whatever its port.

    kube-proxy has turned such a packet's destination before this chain; only what a Service exposes is turned. IPVS
    does so behind this chain, which sees the address of the Service.
    """
    yield Accept(("ct status dnat",), "Services, as kube-proxy has turned them", anyone=True)
    if cluster.network.proxy_mode == "ipvs":
        for cidr in cluster.network.service_cidrs:
            family = "ip6" if ":" in cidr else "ip"
            yield Accept((f"{family} daddr {cidr}",), "Services, which IPVS turns behind this chain", anyone=True)


def _by_port(found: Iterable[Listener]) -> list[Listener]:
    outside = [one for one in found if one.scopes != ("loopback",)]
    return sorted(outside, key=lambda one: (one.port, one.protocol, one.component, one.purpose))


def _load_balancers(cluster: Cluster) -> AddressSet:
    return AddressSet("load_balancers", _addresses(cluster.with_role("load-balancer")))


def _etcd(cluster: Cluster) -> AddressSet:
    return AddressSet("etcd", _addresses(cluster.etcd_hosts))


def _control_plane(cluster: Cluster) -> AddressSet:
    return AddressSet("control_plane", _addresses(cluster.control_plane))


def _nodes(cluster: Cluster) -> AddressSet:
    return AddressSet("nodes", _addresses(cluster.hosts))


def _pods(cluster: Cluster) -> AddressSet:
    return AddressSet("pods", cluster.network.pod_cidrs)


def _operators(cluster: Cluster) -> AddressSet:
    """Return who enters by ssh: the operators, and every jump host that is known by its address."""
    ways = [cluster.ssh, *(host.ssh for host in cluster.hosts)]
    jumps = {jump.address for way in ways for jump in way.jumps if is_address(jump.address)}
    return AddressSet("operators", (*cluster.firewall.operators, *sorted(jumps)))


def _addresses(hosts: Iterable[Host]) -> tuple[str, ...]:
    return tuple(address for host in hosts for address in host.addresses)
