"""Rules about hosts: names, addresses, roles, members of etcd, zones, systems, ports."""

from __future__ import annotations

import ipaddress

from generator.spec import operating_systems, ports
from generator.spec.faults import Findings
from generator.spec.listener import Listener
from generator.spec.model import Cluster, Host, Pool
from generator.spec.structure import suggestion
from generator.spec.yaml_source import Path

_CGROUP_V1_REFUSED = (1, 35)
_MOST_ETCD = 7
_DEFAULT_MAX_PODS = 110


def check_hosts(cluster: Cluster, findings: Findings) -> None:
    """Check the hosts against each other and against the rest of the spec."""
    _addresses(cluster, findings)
    _node_names(cluster, findings)
    _roles(cluster, findings)
    _endpoint(cluster, findings)
    _zones(cluster, findings)
    for pool in cluster.pools.values():
        if not any(host.pool.name == pool.name for host in cluster.hosts):
            findings.warn(("pools", pool.name), f"pool {pool.name} has no host", "add one, or take the pool out")
        _ports(cluster, pool, findings)
    _ssh_ports(cluster, findings)
    _room_for_nodes(cluster, findings)
    _room_for_pods(cluster, findings)


def check_systems(cluster: Cluster, findings: Findings) -> None:
    """Check the distribution of each pool, and what its kernel must do for this cluster."""
    for pool in cluster.pools.values():
        path: Path = ("pools", pool.name, "os")
        system = operating_systems.SUPPORTED.get(pool.os)
        if system is None:
            ended = operating_systems.ENDED.get(pool.os)
            known = operating_systems.SUPPORTED
            if ended is not None:
                findings.fault(path, f"{pool.os} has ended: it gets no fixes any more", ended)
            else:
                findings.fault(
                    path, f"{pool.os!r} is not supported", suggestion(pool.os, known, f"known are: {', '.join(known)}")
                )
            continue
        if not pool.is_node:
            continue
        minor = cluster.versions.minor
        if not system.cgroup_v2 and minor >= _CGROUP_V1_REFUSED and not _cgroup_v1_accepted(cluster, pool):
            what = f"{pool.os} runs cgroup v1, which the kubelet {cluster.versions.minor_text} refuses (k/k#134298)"
            findings.fault(
                path, what, "use a newer release, or set kubelet config failCgroupV1: false and know that it ends"
            )
        if cluster.network.proxy_mode == "nftables" and not system.nftables:
            what = f"{pool.os} is too old for proxyMode nftables (kernel 5.13 and nft 1.0.1 are needed)"
            findings.fault(path, what, "use a newer release, or proxyMode iptables")


def _cgroup_v1_accepted(cluster: Cluster, pool: Pool) -> bool:
    layers = (cluster.components, pool.components)
    values = [layer["kubelet"].config.get("failCgroupV1") for layer in layers if "kubelet" in layer]
    return [value for value in values if value is not None][-1:] == [False]


def _addresses(cluster: Cluster, findings: Findings) -> None:
    owner: dict[str, str] = {}
    network = cluster.network
    pod_families = {ipaddress.ip_network(cidr).version for cidr in network.pod_cidrs}
    primary = ipaddress.ip_network(network.pod_cidrs[0]).version
    ranges = [
        (name, cidr, ipaddress.ip_network(cidr))
        for name, cidrs in (("podCIDR", network.pod_cidrs), ("serviceCIDR", network.service_cidrs))
        for cidr in cidrs
    ]
    for host in cluster.hosts:
        path = findings.host_paths[host.name]
        for key, address in (("address", host.address), ("secondaryAddress", host.secondary_address)):
            if address is None:
                continue
            at = (*path, key)
            ip = ipaddress.ip_address(address)
            if address in owner:
                findings.fault(
                    at, f"{address} of {host.name} is also an address of {owner[address]}", "give each host its own"
                )
            owner.setdefault(address, host.name)
            if ip.is_loopback or ip.is_unspecified or ip.is_multicast or ip.is_link_local:
                findings.fault(
                    at, f"{address} is not an address that others can reach", "write the address of its network card"
                )
            for name, cidr, taken in ranges:
                if ip in taken:
                    what = f"{address} of {host.name} lies in network.{name} {cidr}"
                    findings.fault(at, what, f"choose a network.{name} apart from the hosts")
        family = ipaddress.ip_address(host.address).version
        if host.secondary_address is not None and ipaddress.ip_address(host.secondary_address).version == family:
            findings.fault(
                (*path, "secondaryAddress"), f"is IPv{family} like address", "write the address of the other family"
            )
        elif host.pool.is_node and family != primary:
            what = f"{host.address} is IPv{family}, but the first range of podCIDR is IPv{primary}"
            findings.fault((*path, "address"), what, "let both begin with the same family")
        elif host.pool.is_node and len(pod_families) == 2 and host.secondary_address is None:
            findings.fault(path, f"{host.name} has one address in a dual-stack cluster", "add secondaryAddress")


def _node_names(cluster: Cluster, findings: Findings) -> None:
    if findings.document.data.get("nodeNaming") == "address":
        for host in cluster.hosts:
            if ":" in host.node_name and host.pool.is_node:
                what = f"{host.node_name} cannot be a node name: DNS-1123 names hold no colon"
                findings.fault(("nodeNaming",), what, "use nodeNaming: host with IPv6")
                return


def _roles(cluster: Cluster, findings: Findings) -> None:
    etcd, servers = len(cluster.etcd_hosts), len(cluster.control_plane)
    if etcd == 0:
        findings.fault(("hosts",), "no host has the role etcd", "give the role to the pool of one, three or five hosts")
    elif etcd % 2 == 0:
        what = f"{etcd} hosts have the role etcd: an even number bears no more failures than {etcd - 1}"
        findings.fault(("hosts",), what, f"use {etcd - 1} or {etcd + 1}")
    elif etcd > _MOST_ETCD:
        findings.warn(
            ("hosts",),
            f"{etcd} hosts have the role etcd: every write waits for a majority of them",
            "use three or five",
        )
    if servers == 0:
        findings.fault(
            ("hosts",), "no host has the role control-plane", "give the role to the pool of at least one host"
        )
    elif not any(host.pool.is_node and not host.pool.taints for host in cluster.hosts) and not cluster.with_role(
        "worker"
    ):
        findings.warn(
            ("hosts",),
            "no host has the role worker, and every node has a taint: no pod of yours will run",
            "add a worker, or say taints: []",
        )
    balancers = cluster.with_role("load-balancer")
    if balancers and cluster.api.endpoint_host is None:
        findings.fault(
            ("api", "endpoint"),
            "is missing, but there are hosts with the role load-balancer",
            "name what people enter the API by",
        )


def _endpoint(cluster: Cluster, findings: Findings) -> None:
    if cluster.api.vip is not None and cluster.api.vip.address == cluster.api.endpoint_host:
        return  # a rule of the virtual address
    endpoint = cluster.api.endpoint_host
    balancers = cluster.with_role("load-balancer")
    for host in cluster.hosts:
        if endpoint is not None and endpoint in {*host.addresses, host.name}:
            if balancers == (host,):
                continue
            what = f"{endpoint} is host {host.name} itself, so the API would end with it"
            findings.fault(
                ("api", "endpoint", "host"), what, "use a virtual IP or a DNS name, or leave the endpoint out"
            )


def _zones(cluster: Cluster, findings: Findings) -> None:
    placed = [host for host in cluster.hosts if host.zone is not None]
    if not placed:
        return
    etcd, servers = cluster.etcd_hosts, cluster.control_plane
    for zone in sorted({host.zone for host in placed if host.zone is not None}):
        path: Path = ("hosts",)
        lost = sum(host.zone == zone for host in etcd)
        if len(etcd) > 1 and len(etcd) - lost < len(etcd) // 2 + 1:
            what = f"the loss of zone {zone} takes {lost} of {len(etcd)} members of etcd and so its quorum"
            findings.warn(path, what, "spread them over three zones")
        if len(servers) > 1 and all(host.zone == zone for host in servers):
            findings.warn(
                path, f"the loss of zone {zone} takes every API server", "spread the control plane over zones"
            )
    without = [host.name for host in (*etcd, *servers) if host.zone is None]
    if without:
        names = ", ".join(sorted(set(without)))
        findings.warn(
            ("hosts",),
            f"some hosts have a zone, but {names} not",
            "name the zone of every host with etcd or control plane",
        )


def _ports(cluster: Cluster, pool: Pool, findings: Findings) -> None:
    taken: list[Listener] = []
    first, last = cluster.network.node_port_range
    for listener in ports.listeners(cluster, pool):
        for other in taken:
            if other.port != listener.port or other.component == listener.component or not ports.meet(other, listener):
                continue
            movable, fixed = (listener, other) if listener.field else (other, listener)
            path = movable.field or ("pools", pool.name, "roles")
            both = f"{movable.component} and by {fixed.component}"
            what = f"port {movable.port} is wanted by {both} on hosts of pool {pool.name}"
            findings.fault(path, what, "use another port, or hosts of their own")
        taken.append(listener)
        if pool.is_node and first <= listener.port <= last:
            what = f"{first}-{last} holds port {listener.port} of {listener.component}"
            findings.fault(("network", "nodePortRange"), what, "move one of the two")


def _ssh_ports(cluster: Cluster, findings: Findings) -> None:
    by_pool = {name: ports.listeners(cluster, pool) for name, pool in cluster.pools.items()}
    for host in cluster.hosts:
        for listener in by_pool[host.pool.name]:
            if listener.port == host.ssh.port:
                what = f"sshd of {host.name} and {listener.component} both want port {listener.port}"
                findings.fault(_ssh_port_path(host, findings), what, "use another port")


def _ssh_port_path(host: Host, findings: Findings) -> Path:
    own = (*findings.host_paths[host.name], "ssh", "port")
    return own if own in findings.document.lines else ("ssh", "port")


def _room_for_nodes(cluster: Cluster, findings: Findings) -> None:
    network = cluster.network
    nodes = len(cluster.nodes)
    if network.plugin == "bridge":
        return
    for cidr, size in zip(network.pod_cidrs, network.node_mask_sizes, strict=False):
        room = 2 ** max(0, size - ipaddress.ip_network(cidr).prefixlen)
        if room < nodes:
            what = f"{cidr} has room for {room} nodes of /{size}, but there are {nodes}"
            findings.fault(("network", "podCIDR"), what, "use a larger range, or a larger nodeMaskSize")


def _room_for_pods(cluster: Cluster, findings: Findings) -> None:
    """Warn where a kubelet takes more pods than its node's range has addresses: the last ones would never start.

    Calico passes the range of a node by: its nodes take as many blocks of addresses as their pods need.
    """
    network = cluster.network
    if network.plugin == "calico":
        return
    said: set[tuple[str, int, int]] = set()
    for host in cluster.nodes:
        most = _most_pods(cluster, host)
        sizes = [ipaddress.ip_network(subnet).prefixlen for subnet in host.pod_subnets]
        for cidr, size in zip(network.pod_cidrs, sizes or network.node_mask_sizes, strict=False):
            # The network itself, the bridge's own address and, with IPv4, broadcast are no pod's.
            room = 2 ** max(0, ipaddress.ip_network(cidr).max_prefixlen - size) - 3
            if most > room and (host.pool.name, most, size) not in said:
                said.add((host.pool.name, most, size))
                what = f"the kubelet takes up to {most} pods, but a node's range of /{size} has room for {room}"
                todo = f"use a larger range, or kubelet config maxPods: {max(room, 1)}"
                findings.warn(findings.host_paths[host.name], what, todo)


def _most_pods(cluster: Cluster, host: Host) -> int:
    for layer in (host.components, host.pool.components, cluster.components):
        value = layer["kubelet"].config.get("maxPods") if "kubelet" in layer else None
        if isinstance(value, int):
            return value
    return _DEFAULT_MAX_PODS
