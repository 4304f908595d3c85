"""What shows only when hosts are laid side by side: numbers and names that two share, clocks, time zones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median

from fleet.folding import folded
from fleet.host_faults import clock_fault
from fleet.preflight import wants
from fleet.preflight.facts import Machine
from fleet.preflight.finding import Finding
from fleet.preflight.seen import Seen

APART_SECONDS = 5.0
"""By so much may a host's clock lie beside those of the others; leases and etcd's elections count in seconds."""
_UTC = frozenset({"UTC", "Etc/UTC", "Etc/Zulu", "Zulu", "Etc/UCT", "UCT", "Universal", "Etc/Universal", "Etc/GMT"})


def clock(seen: Seen) -> Iterator[Finding]:
    """Find clocks far from this machine's, which dates certificates, or from each other."""
    middle = median(machine.clock_ahead for _, machine in seen.each()) if seen.machines else 0.0
    for host, machine in seen.each():
        apart = machine.clock_ahead - middle
        if clock_fault(machine.clock_ahead):
            text = "its clock is far from this machine's: certificates would not be valid"
            todo = "set the clock there, or here, and let all follow one source (chrony)"
            yield Finding(host.name, text, todo, f"{abs(machine.clock_ahead):.0f} s")
        elif abs(apart) > APART_SECONDS:
            way = "ahead of" if apart > 0 else "behind"
            text, todo = f"its clock is {way} the other hosts' clocks", "set it, and let all follow one source (chrony)"
            yield Finding(host.name, text, todo, f"{abs(apart):.0f} s", "warning")


def timezone(seen: Seen) -> Iterator[Finding]:
    """Find hosts in another time zone than most: their journals cannot be read side by side."""
    zones = {host.name: "UTC" if machine.timezone in _UTC else machine.timezone for host, machine in seen.each()}
    counted = Counter(zone for zone in zones.values() if zone)
    if len(counted) < 2:
        return
    usual = max(sorted(counted), key=lambda zone: counted[zone])
    for host, machine in seen.each():
        zone = zones[host.name]
        if zone and zone != usual:
            text, todo = f"its time zone is {zone}, most hosts have {usual}", "`timedatectl set-timezone` one for all"
            if wants.handles(host, "time-zone") and not machine.settled:
                todo = "nothing: the apply sets it"
            yield Finding(host.name, text, todo, severity="warning")


def time_sync(seen: Seen) -> Iterator[Finding]:
    """Find hosts on which nothing keeps the clock right."""
    for host, machine in seen.each():
        by_us = wants.handles(host, "chron") or wants.handles(host, "time-sync")
        if not machine.active & set(wants.TIME_SERVICES) and not (by_us and not machine.settled):
            text = "nothing there keeps its clock right"
            yield Finding(host.name, text, "install and start chrony", severity="warning")


def machine_id(seen: Seen) -> Iterator[Finding]:
    """Find hosts with one machine-id, as clones have: network and journal take them for one."""
    todo = "on the clones: rm /etc/machine-id /var/lib/dbus/machine-id, systemd-machine-id-setup, boot anew"
    yield from _shared(seen, "machine-id", todo, lambda machine: machine.machine_id)


def product_uuid(seen: Seen) -> Iterator[Finding]:
    """Find hosts with one product_uuid: the API and cloud programs know nodes by it."""
    todo = "give each machine its own in the hypervisor"
    for one in _shared(seen, "product_uuid", todo, lambda machine: machine.product_uuid.lower()):
        # Cheap boards all have the one that their maker forgot to change, and run.
        yield replace(one, severity="warning")


def hostname(seen: Seen) -> Iterator[Finding]:
    """Find hosts with one host name."""
    for one in _shared(seen, "host name", "`hostnamectl set-hostname`", lambda machine: machine.hostname.lower()):
        by_us = any(wants.handles(seen.tree.hosts[one.host], word) for word in ("hostname", "host-name"))
        yield replace(one, severity="warning") if by_us else one


def _shared(seen: Seen, what: str, todo: str, value_of: Callable[[Machine], str]) -> Iterator[Finding]:
    having: dict[str, list[str]] = {}
    for host, machine in seen.each():
        if value := value_of(machine):
            having.setdefault(value, []).append(host.name)
    for value, names in sorted(having.items()):
        if len(names) > 1:
            text = f"{folded(names)} have the same {what}"
            for name in names:
                yield Finding(name, text, todo, value)
