"""Rules about who may reach which port: the firewall section, and listeners of the user's own."""

from __future__ import annotations

import ipaddress

from generator.spec import ports
from generator.spec.faults import Findings
from generator.spec.listener import LOOPBACK
from generator.spec.model import Cluster, Host, is_address
from generator.spec.schema import ClusterSpec
from generator.spec.schema_firewall import ListenerSpec
from generator.spec.yaml_source import Path

_EVERYBODY = {"0.0.0.0/0", "::/0"}


def check_firewall(spec: ClusterSpec, cluster: Cluster, findings: Findings) -> None:
    """Check what needs no list of hosts."""
    _listeners(cluster, spec.listeners, ("listeners",), findings)
    for name, pool in spec.pools.items():
        _listeners(cluster, pool.listeners, ("pools", name, "listeners"), findings)
    firewall = cluster.firewall
    if firewall.mode != "managed":
        for key, given in (("operators", firewall.operators), ("nodeProtocols", firewall.node_protocols)):
            if given:
                what = f"is not used: firewall.mode is {firewall.mode}"
                findings.warn(("firewall", key), what, "use mode: managed, or take it out")
        return
    if not firewall.operators and ("firewall", "operators", 0) not in findings.document.lines:
        what = "is managed, and firewall.operators names nobody: sshd would be closed, and you locked out"
        findings.fault(
            ("firewall", "mode"), what, "write the ranges from which you enter, like operators: [10.1.0.0/24]"
        )
    for index, cidr in enumerate(spec.firewall.operators):
        if cidr in _EVERYBODY:
            findings.warn(("firewall", "operators", index), f"{cidr} opens sshd to everybody", "name your own ranges")
    if cluster.network.plugin == "none" and not firewall.node_protocols and not _from_nodes(cluster):
        what = "is managed, and nothing is open between nodes for the pod network of your own"
        todo = (
            "name what yours uses, such as listeners: [{port: 8472, protocol: udp, from: [nodes]}] for VXLAN of "
            "flannel, or firewall.nodeProtocols: [ipip]; a network without tunnels needs none"
        )
        findings.warn(("firewall", "mode"), what, todo)


def check_operators(cluster: Cluster, findings: Findings) -> None:
    """Check that whoever enters a host is let in by a managed firewall."""
    if cluster.firewall.mode != "managed" or not cluster.firewall.operators:
        return
    families: set[int] = {ipaddress.ip_network(cidr).version for cidr in cluster.firewall.operators}
    said: set[object] = set()
    for host in cluster.hosts:
        _enters(host, families, said, findings)
        _sshd_is_listed(cluster, host, said, findings)


def _sshd_is_listed(cluster: Cluster, host: Host, said: set[object], findings: Findings) -> None:
    """Refuse a listener on a port at which only this host's sshd listens: it would open that beside the operators."""
    for one in host.pool.listeners:
        if one.protocol == "tcp" and one.port == host.ssh.port != cluster.ssh.port and one.port not in said:
            said.add(one.port)
            places: list[Path] = [("pools", host.pool.name, "listeners"), ("listeners",)]
            at = next((place for place in places if place in findings.document.lines), ("listeners",))
            what = f"{one.port} is the port of sshd of {host.name}"
            findings.fault(at, what, "name who may reach sshd in firewall.operators")


def _enters(host: Host, families: set[int], said: set[object], findings: Findings) -> None:
    last = host.ssh.jumps[-1].address if host.ssh.jumps else None
    family = ipaddress.ip_address(host.address).version
    if last is not None and not is_address(last):
        if last not in said:
            said.add(last)
            what = f"the jump host {last} is a name, and a rule set holds addresses"
            todo = "write its address here, or add the one from which it reaches the hosts to firewall.operators"
            findings.warn(_jumps(host, findings), what, todo)
    elif last is None and family not in families and family not in said:
        said.add(family)
        what = f"names no range of IPv{family}, but {host.name} is entered at {host.address}: you would be locked out"
        findings.fault(("firewall", "operators"), what, f"add the IPv{family} range from which you enter")


def _jumps(host: Host, findings: Findings) -> Path:
    own = (*findings.host_paths[host.name], "ssh", "jumps")
    return own if own in findings.document.lines else ("ssh", "jumps")


def _from_nodes(cluster: Cluster) -> bool:
    return any("nodes" in one.sources for pool in cluster.pools.values() for one in pool.listeners)


def _listeners(cluster: Cluster, written: list[ListenerSpec], path: Path, findings: Findings) -> None:
    first, last = cluster.network.node_port_range
    taken: set[tuple[int, str]] = set()
    for index, one in enumerate(written):
        at: Path = (*path, index, "port")
        if (one.port, one.protocol) in taken:
            findings.fault(at, f"{one.protocol} port {one.port} is listed twice", "put its sources into one entry")
        taken.add((one.port, one.protocol))
        if first <= one.port <= last:
            what = f"{one.port} lies in network.nodePortRange {first}-{last}, which belongs to Services"
            findings.fault(at, what, "use another port; node ports are open and known already")
        if one.protocol == "tcp" and one.port == cluster.ssh.port:
            what = f"{one.port} is sshd's"
            findings.fault(at, what, "name who may reach sshd in firewall.operators")
        if "anyone" in one.sources and len(one.sources) > 1:
            findings.warn((*path, index, "from"), "names anyone and others, who are anyone too", "keep one of the two")
        _on_loopback(cluster, one, at, findings)


def _on_loopback(cluster: Cluster, one: ListenerSpec, at: Path, findings: Findings) -> None:
    for pool in cluster.pools.values():
        for ours in ports.listeners(cluster, pool):
            if one.protocol == "tcp" and ours.port == one.port and ours.scopes == LOOPBACK:
                what = f"{one.port} is {ours.component}'s ({ours.purpose}), which listens on loopback on hosts of pool "
                fixed = ours.field[:1] == ("addons",)
                other = "take the addon out" if fixed else f"let {ours.component} listen elsewhere by an override"
                todo = f"move yours, or {other}"
                findings.fault(at, what + pool.name, todo)
                return
