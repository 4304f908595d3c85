"""Rules about the ways into the API: one table, each rule with the field, what is wrong, and the way out.

The network of the hosts does not stand in a spec, so what is refused is what can be known from it: a virtual address
that is a host's, of another family, within pods or Services, or outside of the prefix that it is given itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from generator.spec.faults import Findings
from generator.spec.model import Cluster, Host
from generator.spec.sections_network import Vip
from generator.spec.yaml_source import Path

What = Callable[[Cluster], Iterator[str]]
_BALANCERS = ("apiserver-balancer", "endpoint-balancer", "endpoint-vip")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: `broken` yields what is wrong, if anything is; a warning lets the spec pass."""

    field: Path
    broken: What
    todo: str
    warns: bool = False


def check_balancing(cluster: Cluster, findings: Findings) -> None:
    """Check every rule of the table."""
    for rule in RULES:
        for what in rule.broken(cluster):
            (findings.warn if rule.warns else findings.fault)(rule.field, what, rule.todo)


def _no_balancer_for_nodes(cluster: Cluster) -> Iterator[str]:
    if cluster.api.balancer == "none" and cluster.api.nodes_use == "balancer":
        yield "is none, so nodes would have no way into the API"


def _no_endpoint_for_nodes(cluster: Cluster) -> Iterator[str]:
    if cluster.api.nodes_use == "endpoint" and cluster.api.endpoint_host is None:
        yield "is endpoint, and there is neither an endpoint nor a virtual address"


def _unused_balancer(cluster: Cluster) -> Iterator[str]:
    if cluster.api.nodes_use == "endpoint" and cluster.api.balancer != "none":
        yield f"{cluster.api.balancer} runs on every node, and nodes use the endpoint"


def _stranded_balancers(cluster: Cluster) -> Iterator[str]:
    vip, hosts = cluster.api.vip, cluster.with_role("load-balancer")
    if vip is not None and vip.role == "control-plane" and hosts:
        yield f"is control-plane, but {_names(hosts)} {'has' if len(hosts) == 1 else 'have'} the role load-balancer"


def _nobody_carries(cluster: Cluster) -> Iterator[str]:
    if cluster.api.vip is not None and not cluster.vip_hosts:
        yield f"no host has the role {cluster.api.vip.role}, so nobody would carry the virtual address"


def _one_carries(cluster: Cluster) -> Iterator[str]:
    if len(cluster.vip_hosts) == 1:
        yield f"only {cluster.vip_hosts[0].name} carries the virtual address, so it ends with that host"


def _is_a_host(cluster: Cluster) -> Iterator[str]:
    vip = cluster.api.vip
    for host in cluster.hosts:
        if vip is not None and vip.address in host.addresses:
            yield f"{vip.address} is the address of host {host.name}"


def _not_reachable(cluster: Cluster) -> Iterator[str]:
    vip = cluster.api.vip
    if vip is None:
        return
    ip, network = ipaddress.ip_address(vip.address), vip.network
    if ip.is_loopback or ip.is_unspecified or ip.is_multicast or ip.is_link_local:
        yield f"{vip.address} is not an address that others can reach"
    elif vip.family == 4 and network.prefixlen < 31 and ip in {network.network_address, network.broadcast_address}:
        yield f"{vip.address} is an edge of {network}, which no host can have"


def _in_a_range(cluster: Cluster) -> Iterator[str]:
    vip = cluster.api.vip
    for name, cidrs in (("podCIDR", cluster.network.pod_cidrs), ("serviceCIDR", cluster.network.service_cidrs)):
        for cidr in cidrs:
            if vip is not None and ipaddress.ip_address(vip.address) in ipaddress.ip_network(cidr):
                yield f"{vip.address} lies in network.{name} {cidr}"


def _other_family(cluster: Cluster) -> Iterator[str]:
    vip = cluster.api.vip
    for host in cluster.vip_hosts:
        if vip is not None and not _addresses(host, vip):
            yield f"{vip.address} is IPv{vip.family}, and {host.name}, which is to carry it, has no such address"
            return


def _outside(cluster: Cluster) -> Iterator[str]:
    vip = cluster.api.vip
    if vip is None or vip.network.num_addresses == 1:
        return
    for host in cluster.vip_hosts:
        for address in _addresses(host, vip):
            if ipaddress.ip_address(address) not in vip.network:
                yield f"{address} of {host.name}, which is to carry the virtual address, lies outside of {vip.network}"


def _no_network(cluster: Cluster) -> Iterator[str]:
    vip = cluster.api.vip
    if vip is not None and vip.network.num_addresses == 1:
        yield f"{vip.address} has no prefix, so nobody can say whether it lies in the network of the hosts"


def _without_priority(cluster: Cluster) -> Iterator[str]:
    vip = cluster.api.vip
    missing = [host for host in cluster.vip_hosts if vip is not None and host.name not in vip.priorities]
    if missing:
        yield f"does not name {_names(missing)}, which {'has' if len(missing) == 1 else 'have'} to carry the address"


def _strange_priority(cluster: Cluster) -> Iterator[str]:
    vip, names = cluster.api.vip, {host.name for host in cluster.vip_hosts}
    for name in vip.priorities if vip is not None else ():
        if names and vip is not None and name not in names:
            yield f"names {name}, which is no host with the role {vip.role}"


def _equal_priorities(cluster: Cluster) -> Iterator[str]:
    owner: dict[int, str] = {}
    for name, priority in (cluster.api.vip.priorities if cluster.api.vip is not None else {}).items():
        if priority in owner:
            yield f"{owner[priority]} and {name} both have {priority}, so chance would decide between them"
        owner.setdefault(priority, name)


def _two_endpoints(cluster: Cluster) -> Iterator[str]:
    vip, endpoint = cluster.api.vip, cluster.api.endpoint_host
    if vip is None or endpoint is None or endpoint == vip.address:
        return
    try:
        ipaddress.ip_address(endpoint)
    except ValueError:
        return
    yield f"{endpoint} is another address than api.vip.address {vip.address}"


def _two_ports(cluster: Cluster) -> Iterator[str]:
    vip, port = cluster.api.vip, cluster.api.endpoint_port
    if vip is not None and port != vip.port:
        yield f"{port} is another port than that of the virtual address, {vip.port}"


def _bound_elsewhere(cluster: Cluster) -> Iterator[str]:
    api = cluster.api
    if api.bind == "any" and (api.balancer_shares_port or api.vip_shares_port):
        holder = "each node's own balancer" if api.balancer_shares_port else "the virtual address"
        yield f"is any, and {holder} has port {api.port} too"


def _bound_by_override(cluster: Cluster) -> Iterator[str]:
    if not cluster.api.balancer_shares_port and not cluster.api.vip_shares_port:
        return
    layers = [cluster.components, *(pool.components for pool in cluster.pools.values())]
    for layer in [*layers, *(host.components for host in cluster.control_plane)]:
        bound = layer["kube-apiserver"].unsafe_flags.get("bind-address") if "kube-apiserver" in layer else None
        if bound in {"0.0.0.0", "::"}:
            yield f"--bind-address={bound} of kube-apiserver takes port {cluster.api.port} from a balancer beside it"
            return


def _overridden_for_nobody(cluster: Cluster) -> Iterator[str]:
    runs = {
        "apiserver-balancer": any(cluster.has_own_balancer(host.pool) for host in cluster.hosts),
        "endpoint-balancer": any(cluster.carries_endpoint(host.pool) for host in cluster.hosts),
        "endpoint-vip": bool(cluster.vip_hosts),
    }
    layers = [cluster.components, *(pool.components for pool in cluster.pools.values())]
    for name in _BALANCERS:
        if not runs[name] and any(name in layer for layer in layers):
            yield f"{name} runs on no host"


def _addresses(host: Host, vip: Vip) -> list[str]:
    return [address for address in host.addresses if ipaddress.ip_address(address).version == vip.family]


def _names(hosts: Sequence[Host]) -> str:
    return ", ".join(host.name for host in hosts)


_VIP = ("api", "vip", "address")
_ROLE = ("api", "vip", "role")
_PRIORITIES = ("api", "vip", "priorities")
_FREE = "use a free address of the hosts' own network"

RULES: tuple[Rule, ...] = (
    Rule(("api", "balancer"), _no_balancer_for_nodes, "use nginx or haproxy, or say nodesUse: endpoint"),
    Rule(("api", "nodesUse"), _no_endpoint_for_nodes, "name api.endpoint or api.vip, or let nodes use their balancer"),
    Rule(
        ("api", "balancer"),
        _unused_balancer,
        "say balancer: none to take it away, or keep it to go back soon",
        warns=True,
    ),
    Rule(_ROLE, _stranded_balancers, "say load-balancer, or take that role away from hosts"),
    Rule(_ROLE, _nobody_carries, "give the role to the pool of two hosts or more, or let the other role carry it"),
    Rule(_ROLE, _one_carries, "give the role to a second host", warns=True),
    Rule(_VIP, _is_a_host, "a virtual address moves between hosts: use one that is free"),
    Rule(_VIP, _not_reachable, _FREE),
    Rule(_VIP, _in_a_range, _FREE),
    Rule(_VIP, _other_family, "use an address of the family of their own, or give them a secondaryAddress"),
    Rule(_VIP, _outside, "let hosts of that network carry it, or correct address and prefix"),
    Rule(_VIP, _no_network, "write it with the prefix of their network, such as /24", warns=True),
    Rule(_PRIORITIES, _without_priority, "write a priority for each host that carries it"),
    Rule(_PRIORITIES, _strange_priority, "take it out, or correct the name"),
    Rule(_PRIORITIES, _equal_priorities, "give each host one of its own"),
    Rule(("api", "endpoint", "host"), _two_endpoints, "name the virtual address or a DNS name of it, or leave it out"),
    Rule(("api", "endpoint", "port"), _two_ports, "leave it out, or set api.vip.port"),
    Rule(("api", "bind"), _bound_elsewhere, "take it out, or use another port"),
    Rule(("components", "kube-apiserver"), _bound_by_override, "take it out, or use another port"),
    Rule(("components",), _overridden_for_nobody, "take the override out, or see api.balancer and api.vip"),
)
"""All rules between the fields of `api` and the hosts, in the order of the reader's interest."""
