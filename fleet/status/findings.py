"""What is not as it should be, as a pure function of what was seen: findings, which count, and warnings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

from fleet.host_faults import CLOCK_SECONDS, preflight_faults, unit_fault
from fleet.kernels import due
from fleet.state import HostState, UnitFacts
from fleet.status.cluster_findings import cluster_findings
from fleet.status.collect import Status
from fleet.status.finding import Finding
from fleet.status.host_facts import Certificate, HostFacts
from fleet.status.listening import PODS, foreign, missing, scope_words
from fleet.status.moments import duration
from fleet.strangers import strangers
from fleet.tree import Host, RenderedTree
from fleet.work import HostPlan

FRESH_SECONDS = 600.0
"""A unit that restarted by itself and has been up for less than this may do so again."""
CLOCK_WORTH_A_WORD = 2.0
"""From here on a clock is worth a warning, in seconds; beyond CLOCK_SECONDS it is a fault."""
_RENEWED_BY = 0.95
"""The part of a certificate's life by which a kubelet has renewed it (client-go does at 70 to 90 per cent)."""


def findings(status: Status) -> tuple[Finding, ...]:
    """Return everything that is not as it should be: findings first, then warnings, the cluster before its hosts."""
    found = [*cluster_findings(status), *_hosts(status)]
    order = {"finding": 0, "warning": 1}
    return tuple(sorted(found, key=lambda one: (order[one.severity], one.host != "", one.host)))


def exit_code(found: tuple[Finding, ...]) -> int:
    """Return 2 where there is a finding, 0 where there are warnings at most."""
    return 2 if any(one.severity == "finding" for one in found) else 0


def _hosts(status: Status) -> Iterator[Finding]:
    for name in status.names:
        if name in status.unreachable:
            yield Finding("unreachable", _without_place(status.unreachable[name], status.tree.cluster, name), name)
        elif name in status.hosts:
            yield from host_findings(status, name)


def host_findings(status: Status, name: str) -> Iterator[Finding]:
    """Yield what is not as it should be on one host that answered."""
    tree, facts = status.tree, status.hosts[name]
    host, state = tree.hosts[name], facts.state
    for fault in preflight_faults(host, state, fetch=tree.fetch):
        yield Finding("host", fault, name)
    if not state.generation and not state.phases:
        yield Finding("generation", "nothing was ever applied here; run `invoke apply`", name)
        return
    if CLOCK_WORTH_A_WORD < abs(state.clock_ahead) <= CLOCK_SECONDS:
        way = "ahead of" if state.clock_ahead > 0 else "behind"
        text = f"its clock is some seconds {way} this machine's; see that both follow one source"
        yield Finding("clock", text, name, f"{abs(state.clock_ahead):.0f} s", "warning")
    if state.kernel is not None and (release := due(host, state.kernel)):
        text = f"kernel {state.kernel.running} runs, {release} is installed and to run; run `invoke hosts.reboot`"
        yield Finding("kernel", text, name, severity="warning")
    yield from _units(host, facts)
    yield from _ports(tree, host, facts)
    yield from _certificates(status, name, facts)
    for one in strangers(tree, host, state):
        text = f"{one.path} {one.words}; take it away, or put it under `files` in the spec"
        yield Finding("stranger", text, name, severity="finding" if one.bears else "warning")
    if name in status.plan.left_out:
        yield Finding("etcd-data", status.plan.left_out[name], name)
    elif name in status.plan.hosts:
        yield from _generation(host, state, status.plan.hosts[name])


def _units(host: Host, facts: HostFacts) -> Iterator[Finding]:
    for unit in host.units():
        shown = facts.state.units.get(unit.name, UnitFacts())
        seconds = facts.seconds.get(unit.name)
        fault = unit_fault(unit.name, shown)
        if fault:
            plain = fault.partition(", restarted")[0]
            detail = [f"for {duration(seconds)}"] if seconds is not None and shown.active != "active" else []
            detail += [f"restarted {shown.restarts} times"] if shown.restarts else []
            todo = f"see `journalctl -u {unit.name}` there, then run `invoke apply`"
            yield Finding("unit", f"{plain}; {todo}", host.name, ", ".join(detail))
        elif shown.restarts and seconds is not None and seconds < FRESH_SECONDS:
            text = f"{unit.name} has restarted by itself a short time ago; see `journalctl -u {unit.name}` there"
            yield Finding("unit", text, host.name, f"{shown.restarts} times, up for {duration(seconds)}", "warning")
        if shown.enabled in {"disabled", "indirect", "masked", "masked-runtime"}:
            text = f"{unit.name} is {shown.enabled}: it will not start after a reboot; run `invoke apply`"
            yield Finding("unit", text, host.name)
        if shown.needs_reload:
            text = f"systemd has not read what lies on disk for {unit.name}; run `invoke apply`"
            yield Finding("unit", text, host.name)


def _ports(tree: RenderedTree, host: Host, facts: HostFacts) -> Iterator[Finding]:
    table = tree.ports.get(host.name, ())
    if not table:
        return
    for port, scope in missing(table, facts.listening, host.address):
        text = f"nobody listens on {scope_words(scope)} at port {port.first}: {port.component} is to ({port.purpose})"
        yield Finding("port", text, host.name)
    own_units = {unit.name for unit in host.units()}
    for one, reason in foreign(table, facts.listening, host.addresses):
        # On loopback nobody else reaches it, and a pod on the host's network came through the API.
        stranger = one.unit != "" and one.unit not in own_units
        harmless = one.unit == PODS or (one.scope == "loopback" and stranger)
        # Equal hosts are told in one line, so what differs from host to host stands beside the text.
        bound, detail = one.at, [f"pid {one.pid}"] if one.pid else []
        if one.scope == "address":
            own = one.where(host.addresses)
            bound = f"port {one.port} on {'one address' if own else 'an address that the inventory does not give it'}"
            detail = [*([] if own else [one.address]), *detail]
        text = f"{one.holder} listens on {bound}: {reason}"
        yield Finding("port", text, host.name, ", ".join(detail), "warning" if harmless else "finding")
    units = {unit.name: unit.component for unit in host.units()}
    for one in facts.listening:
        lines = [
            port
            for port in table
            if port.holds(one.port) and port.is_tcp and not port.may_be_shut and port.component != "sshd"
        ]
        if lines and one.unit and units.get(one.unit) not in {port.component for port in lines}:
            text = f"{one.holder} holds port {one.port}, which belongs to {lines[0].component}"
            yield Finding("port", text, host.name, f"pid {one.pid}")


def _certificates(status: Status, name: str, facts: HostFacts) -> Iterator[Finding]:
    for path in facts.unreadable:
        yield Finding("certificate", f"{path} is no certificate; run `invoke apply`", name)
    for path in facts.absent:
        kubelet = not any(item.path == path for item in status.tree.hosts[name].items)
        todo = "see the kubelet's journal and `invoke status` for its requests" if kubelet else "run `invoke apply`"
        yield Finding("certificate", f"there is no certificate at {path}; {todo}", name)
    for path, one in sorted(facts.certificates.items()):
        if found := _expiry(path, one, status.now, status.warn_days):
            severity, text, detail = found
            yield Finding("certificate", text, name, detail, severity)


def _expiry(
    path: str, one: Certificate, now: datetime, warn_days: int
) -> tuple[Literal["finding", "warning"], str, str] | None:
    left = one.ends - now
    todo = "see the kubelet's journal" if one.rotates else "run `invoke certs.renew`, render and apply"
    when = f"on {one.ends:%Y-%m-%d %H:%M} UTC"
    if left <= timedelta(0):
        return "finding", f"the certificate {path} has ended; {todo}", when
    if one.rotates and left.total_seconds() < (1 - _RENEWED_BY) * one.lifetime:
        text = f"the certificate {path} ends soon and the kubelet has not renewed it; {todo}"
        return "warning", text, f"in {duration(left.total_seconds())}"
    if not one.rotates and left < timedelta(days=warn_days):
        return "warning", f"the certificate {path} ends soon; {todo}", f"in {duration(left.total_seconds())}"
    return None


def _generation(host: Host, state: HostState, plan: HostPlan) -> Iterator[Finding]:
    pending = {name: verb for name, verb in state.pending.items() if name != ".daemon-reload"}
    for unit, verb in sorted(pending.items()):
        yield Finding(
            "pending", f"a {verb} of {unit} is still owed from a run that was cut off; run `invoke apply`", host.name
        )
    changes = sum(len(work.changes) for work in plan.work.values()) + len(plan.removals)
    if changes:
        things = "1 thing is" if changes == 1 else f"{changes} things are"
        text = f"{things} not as rendered; `invoke plan` shows what"
        yield Finding("generation", text, host.name)
    joins = any(work.join for work in plan.work.values())
    if joins:
        yield Finding("generation", "its kubelet has no client certificate that holds; run `invoke apply`", host.name)
    unfinished = [name for name, work in plan.work.items() if work.unfinished]
    if unfinished and not changes:
        names = ", ".join(unfinished)
        yield Finding("generation", f"a run did not get through {names} here; run `invoke apply`", host.name)
    if state.cordoned:
        yield Finding(
            "generation", "a run has cordoned its node and not come to its end; run `invoke apply`", host.name
        )


def _without_place(text: str, cluster: str, name: str) -> str:
    for place in (f"{cluster}/{name}: ", f"{name}: "):
        text = text.removeprefix(place)
    return text
