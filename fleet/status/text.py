"""A status as people read it: what is wrong first, then the hosts, equal ones folded, then the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fleet.cluster_record import Recorded
from fleet.connection import printable
from fleet.folding import folded
from fleet.state import UnitFacts
from fleet.status.collect import Status
from fleet.status.finding import Finding
from fleet.status.host_facts import HostFacts
from fleet.status.moments import bytes_words, duration, moment


def status_lines(status: Status, found: Sequence[Finding], *, verbose: bool = False) -> list[str]:
    """Return the lines: one that sums up, findings, warnings, hosts, the cluster; `verbose` adds what each host has."""
    lines = [summary(status, found)]
    for severity, title in (("finding", "findings"), ("warning", "warnings")):
        some = [one for one in found if one.severity == severity]
        if some:
            lines += ["", title, *(f"  {line}" for line in _folded(some))]
    lines += ["", "hosts", *(f"  {line}" for line in _host_lines(status))]
    if verbose:
        for name, facts in status.judged.items():
            lines += ["", name, *(f"  {line}" for line in _whole_host(status, facts))]
    return [*lines, "", "cluster", *(f"  {line}" for line in _cluster_lines(status))]


def summary(status: Status, found: Sequence[Finding]) -> str:
    """Return one line: how many findings and warnings, over how many hosts."""
    count = {severity: sum(one.severity == severity for one in found) for severity in ("finding", "warning")}
    words = [f"{number} {word}{'s' if number > 1 else ''}" for word, number in count.items() if number]
    hosts = "1 host" if len(status.names) == 1 else f"{len(status.names)} hosts"
    unseen = "" if status.api is None or not status.api.unseen else ", the API not looked at"
    return f"{status.tree.cluster}: {' and '.join(words) or 'all as it should be'} ({hosts}{unseen})"


def _folded(found: Sequence[Finding]) -> list[str]:
    groups: dict[tuple[str, bool], list[Finding]] = {}
    for one in found:
        groups.setdefault((one.text, bool(one.host)), []).append(one)
    lines = []
    for (text, of_hosts), some in groups.items():
        details = {one.detail for one in some if one.detail}
        detail = f" ({next(iter(details))})" if len(details) == 1 else ""
        where = f"{folded(sorted({one.host for one in some}))}: " if of_hosts else ""
        lines.append(f"{where}{text}{detail}")
    return lines


def _host_lines(status: Status) -> list[str]:
    groups: dict[str, list[str]] = {}
    for name in status.names:
        words = _one_host(status, name, status.hosts[name]) if name in status.hosts else "cannot be reached"
        groups.setdefault(words, []).append(name)
    rows = [
        (folded(names) + (f" ({len(names)} hosts)" if len(names) > 1 else ""), words)
        for words, names in sorted(groups.items(), key=lambda entry: status.names.index(entry[1][0]))
    ]
    width = min(32, max((len(names) for names, _ in rows), default=0))
    return [f"{names.ljust(width)}  {words}" for names, words in rows]


def _one_host(status: Status, name: str, facts: HostFacts) -> str:
    host, state = status.tree.hosts[name], facts.state
    units = [state.units.get(unit.name, UnitFacts()) for unit in host.units()]
    up = sum(unit.active == "active" for unit in units)
    if not state.generation:
        words = ["nothing applied" if not state.phases else "no run has come to its end"]
    elif state.generation == host.digest:
        words = ["as rendered"]
    else:
        words = [f"generation {state.generation[:12]}, rendered is {host.digest[:12]}"]
    words += [f"{up} of {len(units)} units up", f"{len({one.port for one in facts.listening})} ports open"]
    ends = min((one.ends for one in facts.certificates.values()), default=None)
    if ends is not None:
        words.append(f"certificates to {ends:%Y-%m-%d}")
    return ", ".join(words)


def _whole_host(status: Status, facts: HostFacts) -> list[str]:
    host, state = status.tree.hosts[facts.state.host], facts.state
    table = status.tree.ports.get(host.name, ())
    lines = [
        f"generation {state.generation or 'none'}, rendered {host.digest}",
        f"phases passed: {', '.join(sorted(state.phases)) or 'none'}; clock {state.clock_ahead:+.0f} s",
    ]
    if state.pending:
        owed = ", ".join(f"{unit} ({verb})" for unit, verb in sorted(state.pending.items()))
        lines.append(f"owed: {owed}")
    lines.append("units")
    for unit in host.units():
        shown, seconds = state.units.get(unit.name, UnitFacts()), facts.seconds.get(unit.name)
        since = f"for {duration(seconds)}" if seconds is not None else ""
        cells = (f"{shown.active} ({shown.sub})", since, shown.enabled, f"{shown.restarts} restarts")
        lines.append(f"  {unit.name:34} {cells[0]:22} {cells[1]:12} {cells[2]:10} {cells[3]}".rstrip())
    lines.append("ports")
    for one in facts.listening:
        purpose = next(
            (f"{port.component}: {port.purpose}" for port in table if port.holds(one.port)), "not in the table"
        )
        lines.append(f"  {one.at:26} {one.holder:52} {purpose}")
    lines.append("certificates")
    for path, certificate in sorted(facts.certificates.items(), key=lambda entry: (entry[1].ends, entry[0])):
        left = (certificate.ends - status.now).total_seconds()
        words = f"in {duration(left)}" if left > 0 else "ended"
        lines.append(f"  {path:52} {certificate.ends:%Y-%m-%d %H:%M} UTC ({words})")
    return lines


def _cluster_lines(status: Status) -> list[str]:
    if not status.formed:
        return ["not looked at: etcd has not formed"]
    lines = []
    for health in status.health:
        lines.append(f"{health.component} on {health.host}: {'healthy' if health.good else health.trouble}")
    lines += _etcd_lines(status)
    lines += _api_lines(status)
    lines.append(f"lock: {f'held by {status.lock}' if status.lock else 'free'}")
    if status.journal:
        lines += ["journal", *(f"  {_entry(entry)}" for entry in status.journal)]
    return lines


def _etcd_lines(status: Status) -> list[str]:
    etcd = status.etcd
    if etcd is None or etcd.trouble:
        return [f"etcd: {etcd.trouble if etcd is not None else 'not looked at'}"]
    leader = etcd.leader
    term = f", term {leader.status.raft_term}" if leader is not None and leader.status is not None else ""
    count = "1 member" if len(etcd.members) == 1 else f"{len(etcd.members)} members"
    lines = [f"etcd: {count}, leader {leader.name if leader is not None else 'unknown'}{term}"]
    for member in etcd.members:
        if member.status is None:
            lines.append(f"  {member.name or member.id}: silent")
            continue
        size = f"{bytes_words(member.status.db_in_use)} in use of {bytes_words(member.status.db_size)}"
        alarms = ", ".join(member.alarms) or "no alarms"
        version = f"{member.status.version}, " if member.status.version else ""
        lines.append(f"  {member.name or member.id}: {version}{size}, {etcd.lag(member)} entries behind, {alarms}")
    return lines


def _api_lines(status: Status) -> list[str]:
    api = status.api
    if api is None:
        return ["API: not looked at"]
    if api.unseen:
        return [f"API: not looked at: {api.unseen}"]
    lines = [f"kube-apiserver on {one.host}: {'ready' if one.good else one.trouble}" for one in api.servers]
    if api.trouble:
        return [*lines, f"API: {api.trouble}"]
    versions: dict[str, list[str]] = {}
    for node in api.nodes:
        versions.setdefault(node.version, []).append(node.name)
    ready = sum(not node.not_ready for node in api.nodes)
    told = "; ".join(
        f"{version} on {folded(names) if len(versions) > 1 else 'all'}" for version, names in sorted(versions.items())
    )
    cordoned = [node.name for node in api.nodes if node.cordoned]
    more = f"; cordoned: {folded(cordoned)}" if cordoned else ""
    lines.append(f"nodes: {ready} of {len(api.nodes)} Ready{f', {told}' if told else ''}{more}")
    states = [one.state for one in api.requests]
    refused = sum(state != "pending" for state in states)
    lines.append(f"certificate requests: {states.count('pending')} pending, {refused} refused")
    return [*lines, f"applied: {_applied(api.applied)}"]


def _applied(applied: Recorded | None) -> str:
    if applied is None:
        return "no apply through all phases is recorded"
    left = f", without {folded(applied.left_out)}" if applied.left_out else ""
    return f"{applied.words} by {applied.operator}, {moment(applied.time)}{left}"


def _entry(entry: Mapping[str, object]) -> str:
    when = moment(str(entry.get("time", "")))
    result = str(entry.get("result", ""))
    tree = str(entry.get("tree", ""))[:12]
    return printable(f"{when} {entry.get('operator', '')}: {entry.get('command', '')} (tree {tree}): {result}")
