"""Addresses, names, ports and the ways between hosts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from urllib.parse import urlsplit

from fleet.folding import folded
from fleet.ports import Port
from fleet.preflight import wants
from fleet.preflight.checks_kernel import loses_firewall
from fleet.preflight.facts import Machine
from fleet.preflight.finding import Finding
from fleet.preflight.seen import Seen, Way
from fleet.status.listening import PODS, Listening
from fleet.tree import Host


def address(seen: Seen) -> Iterator[Finding]:
    """Find addresses of the inventory that are not on the host, but on something before it."""
    for host, machine in seen.each():
        if not machine.addresses:
            continue
        for one in host.addresses:
            if one not in machine.addresses:
                text = "an address that the inventory gives it is on none of its interfaces"
                todo = "write the host's own address into the spec; components bind it and certificates name it"
                yield Finding(host.name, text, todo, one)


def names(seen: Seen) -> Iterator[Finding]:
    """Find hosts that know nobody to ask for names, or do not find the API's name or their own."""
    for host, machine in seen.each():
        if machine.nameservers is not None and not machine.nameservers:
            todo = "name one there: pods ask the host's name servers for what is outside the cluster"
            yield Finding(host.name, "/etc/resolv.conf names no name server", todo, severity="warning")
        for name in machine.unresolved:
            text = f"it does not find {name}, by which its programs enter the API"
            todo = "let its name servers know the name, or add it under system.hostsFile.records"
            yield Finding(host.name, text, todo)
        if machine.resolves_itself is False:
            text = "it does not find its own host name"
            yield Finding(
                host.name, text, "put it into /etc/hosts: sudo and others wait for it", machine.hostname, "warning"
            )


def mirror(seen: Seen) -> Iterator[Finding]:
    """Find servers of binaries and packages that do not answer hosts which fetch for themselves."""
    for host, machine in seen.each():
        sources = wants.sources(host)
        for url, why in sorted(machine.urls.items()):
            if why:
                what, todo = "its binaries", "open the way, or bring the binaries through SSH (artifacts.fetch: push)"
                if url in sources:
                    what, todo = "its packages", "open the way, set system.proxy, or correct system.packageSources"
                text = f"{urlsplit(url).netloc} does not answer it, from which it is to fetch {what}"
                yield Finding(host.name, text, todo, why)


def ports(seen: Seen) -> Iterator[Finding]:
    """Find somebody else on a port of the table, on an address that ours is to have."""
    for host, machine in seen.each():
        for port in seen.tree.ports.get(host.name, ()):
            if port.component == "sshd" or port.protocol == "udp":
                continue
            for one in machine.listening:
                if port.holds(one.port) and _meets(port, one, host) and not _ours(one, host, machine):
                    yield _taken(host, port, one)


def _taken(host: Host, port: Port, one: Listening) -> Finding:
    if port.is_turned:
        text = f"port {one.port} is taken by {one.holder}; {port.component} is to have it ({port.purpose})"
        todo = "move that program, or give the addon another port: from outside, pods of the addon would answer"
        return Finding(host.name, text, todo, one.at, "warning")
    if port.may_be_shut:
        text = f"port {one.port} is taken by {one.holder}; it lies in the range of {port.purpose}"
        todo = "move that program: a Service that is given this port would not be reached here"
        return Finding(host.name, text, todo, one.at, "warning")
    text = f"port {one.port} is taken by {one.holder}; {port.component} is to have it ({port.purpose})"
    return Finding(host.name, text, "stop and disable that program, or give ours another port", one.at)


def _meets(port: Port, one: Listening, host: Host) -> bool:
    """Whether two listeners cannot be there together: one of them has every address, or both have the same."""
    return "any" in port.scopes or port.is_turned or one.scope == "any" or one.where(host.addresses) in port.scopes


def _ours(one: Listening, host: Host, machine: Machine) -> bool:
    if f"unit:{one.unit}" in machine.own:
        return True
    if machine.own and one.unit in {"", PODS}:
        # Pods of this cluster, and what could not be made out: status judges those.
        return True
    return machine.underway and one.unit in {unit.name for unit in host.units()}


def forwarding(seen: Seen) -> Iterator[Finding]:
    """Find hosts from which no TCP connection can be opened by SSH: that is the way to the API."""
    for name, how in sorted(seen.forwarding.items()):
        if how == "none":
            text = "sshd forbids TCP forwarding, and neither socat nor nc is there to relay"
            todo = "allow forwarding for this login (AllowTcpForwarding local), or install socat"
            needed = seen.tree.hosts[name].pool.roles & {"control-plane", "etcd"}
            yield Finding(name, text, todo, severity="error" if needed else "warning")
        elif how == "relay" and seen.tree.ports.get(name):
            text = "sshd forbids TCP forwarding: the ways from it to other hosts were not tried"
            yield Finding(name, text, "nothing, or allow forwarding for this login", severity="warning")


def reach(seen: Seen) -> Iterator[Finding]:
    """Find ways between hosts on which nothing comes back; a port on which nobody listens yet answers.

    A host whose own firewall the apply turns off is not judged: that is why nothing comes back.
    """
    away = seen.silent | {host.name for host, machine in seen.each() if loses_firewall(host, machine)}
    silent: dict[tuple[str, int, str], list[str]] = {}
    for way in seen.ways:
        if way.target in away:
            continue
        if way.answer == "silent":
            silent.setdefault((way.caller, way.port, way.component), []).append(way.target)
    todo = "open it between these hosts, in the firewall of the host and of the network (ports.yaml has all of them)"
    lost = _lost_targets(seen.ways, away)
    for (caller, port, component), targets in sorted(silent.items()):
        left = [target for target in targets if (target, port) not in lost]
        if left:
            text = f"it gets no answer from {folded(left)} on port {port} ({component})"
            yield Finding(caller, text, todo)
    for (target, port), component in sorted(lost.items()):
        yield Finding(target, f"no host that was asked gets an answer from it on port {port} ({component})", todo)


def _lost_targets(ways: Sequence[Way], away: Collection[str]) -> dict[tuple[str, int], str]:
    """Return the ports that several hosts tried and none reached: what is wrong is there, not at each caller."""
    tried: dict[tuple[str, int, str], list[bool]] = {}
    for way in ways:
        if way.target not in away:
            tried.setdefault((way.target, way.port, way.component), []).append(way.answer == "silent")
    return {
        (target, port): component
        for (target, port, component), silent in tried.items()
        if len(silent) > 1 and all(silent)
    }
