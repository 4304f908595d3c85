"""What is not as it should be with the cluster as a whole: etcd, API servers, nodes, requests for certificates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from fleet.folding import folded
from fleet.status.addon_certificates import addon_findings
from fleet.status.api_facts import ApiFacts, folded_requests
from fleet.status.backup import backup_period, newest_good
from fleet.status.collect import Status
from fleet.status.etcd import EtcdFacts, Member
from fleet.status.finding import Finding
from fleet.status.moments import bytes_words, duration, moment

LAG = 1000
"""How many entries of the log a member may be behind; etcd itself refuses writes at 5,000."""
FULL = 0.8
"""The part of its quota from which etcd's size is worth a warning; at the quota it takes no more writes."""
PATIENCE_SECONDS = 180.0
"""How long a request that is going to be approved may wait: the approver looks once a minute."""


def cluster_findings(status: Status) -> Iterator[Finding]:
    """Yield what is wrong with the cluster; nothing is said of parts that could not be looked at but that."""
    if not status.formed:
        if any(facts.state.phases for facts in status.hosts.values()):
            yield Finding("etcd", "etcd has not formed; run `invoke apply`")
        return
    yield from addon_findings(status.tree.path, status.now, status.warn_days)
    for health in status.health:
        if not health.good:
            yield Finding("health", f"{health.component} is not healthy: {health.trouble}", health.host)
    if status.etcd is not None:
        yield from _etcd(status, status.etcd)
    yield from _backup(status)
    if status.api is not None and not status.api.unseen:
        yield from _api(status, status.api)


def _etcd(status: Status, etcd: EtcdFacts) -> Iterator[Finding]:
    if etcd.trouble:
        yield Finding("etcd", f"etcd does not answer: {etcd.trouble}")
        return
    wanted = {host.address: host.name for host in status.tree.with_role("etcd")}
    for member in etcd.members:
        if member.address not in wanted:
            name = member.name or "without a name"
            yield Finding("foreign", f"etcd has a member {name} at {member.address} that the inventory does not know")
        elif not member.name:
            yield Finding("etcd", "its member was added and never started", wanted[member.address])
        else:
            yield from _member(etcd, member, wanted[member.address])
    there = {member.address for member in etcd.members}
    for address, name in sorted(wanted.items()):
        if address not in there:
            yield Finding("missing", "etcd does not know it as a member; the inventory does", name)
    if etcd.leader is None:
        yield Finding("etcd", "the members of etcd do not agree on a leader; see their journals")


def _backup(status: Status) -> Iterator[Finding]:
    """Two schedules without a good snapshot: one may have failed, and the next was to make up for it."""
    seen = {name: facts.backup for name, facts in status.hosts.items() if facts.backup is not None}
    period = max((backup_period(status.tree.hosts[name]) for name in seen), default=0.0)
    if not period:
        return
    newest = newest_good(seen.values())
    failed = {name: one.failure for name, one in seen.items() if one.failed}
    reasons = [f"{name}: {failure.reason}" for name, failure in sorted(failed.items()) if failure is not None]
    since = "; ".join(reasons)
    age = None if newest is None else (status.now - newest.time).total_seconds()
    if age is None:
        # A cluster whose first backup is still to come has none; whether one was due cannot be told from here.
        severity: Literal["finding", "warning"] = "finding" if failed else "warning"
        yield Finding("backup", "there is no good snapshot of etcd yet", "", since, severity)
    elif age > 2 * period:
        yield Finding("backup", "the last good snapshot of etcd is older than two schedules", "", _old(age, since))
    elif failed:
        yield Finding("backup", "the last backup of etcd failed", "", since, "warning")


def _old(age: float, since: str) -> str:
    return f"made {duration(age)} ago{f'; {since}' if since else ''}"


def _member(etcd: EtcdFacts, member: Member, host: str) -> Iterator[Finding]:
    for alarm in member.alarms:
        todo = {
            "NOSPACE": "it takes no more writes; compact, defragment and disarm",
            "CORRUPT": "its data differs from the others'; replace the member",
        }.get(alarm, "see etcd's documentation")
        yield Finding("alarm", f"its etcd member has raised {alarm}: {todo}", host)
    status = member.status
    if status is None:
        yield Finding("etcd", "its etcd member does not answer; see `journalctl -u etcd.service` there", host)
        return
    if member.learner:
        yield Finding("etcd", "its etcd member is a learner and does not vote", host, severity="warning")
    for error in status.errors:
        # Alarms stand there once more, in other words.
        if not member.alarms:
            yield Finding("etcd", f"its etcd member complains: {error}", host)
    if (lag := etcd.lag(member)) > LAG:
        yield Finding("etcd", "its etcd member is far behind the others", host, f"{lag} entries of the log")
    if status.db_size > FULL * etcd.quota:
        text = f"etcd fills most of the {bytes_words(etcd.quota)} that it may; compact and defragment it"
        yield Finding("etcd", text, host, f"{bytes_words(status.db_size)}", "warning")


def _api(status: Status, api: ApiFacts) -> Iterator[Finding]:
    for server in api.servers:
        if not server.good:
            names = f"; failing checks: {', '.join(server.failed)}" if server.failed else ""
            yield Finding("health", f"kube-apiserver is not ready: {server.trouble}{names}", server.host)
    if api.trouble:
        yield Finding("api", f"the API did not answer: {api.trouble}")
        return
    yield from _nodes(status, api)
    yield from _requests(api)
    yield from _applied(status, api)


def _applied(status: Status, api: ApiFacts) -> Iterator[Finding]:
    applied = api.applied
    if applied is not None and applied.tree != status.tree.digest:
        text = (
            f"what is applied is not what is rendered here ({status.tree.digest[:12]}): {applied.operator} applied "
            f"{applied.words}; run `invoke plan`, or get that commit"
        )
        yield Finding("tree", text, "", moment(applied.time))
    if api.unfinished:
        names = ", ".join(api.unfinished)
        yield Finding("objects", f"a run changed {names} and did not see it run; run `invoke apply`")


def _nodes(status: Status, api: ApiFacts) -> Iterator[Finding]:
    by_node = {host.node: name for name, host in status.tree.hosts.items() if host.node}
    version = f"v{status.tree.versions.get('kubernetes', '')}"
    seen = {node.name for node in api.nodes}
    strangers = sorted(seen - set(by_node))
    if strangers:
        yield Finding("foreign", f"the API has nodes that the inventory does not know: {folded(strangers)}")
    for node in api.nodes:
        host = by_node.get(node.name, "")
        if not host or host not in status.names:
            continue
        if node.not_ready:
            yield Finding("node", f"its node is not Ready: {node.not_ready}", host)
        if node.cordoned:
            yield Finding("node", "its node is cordoned: no new pod comes to it", host, severity="warning")
        if node.version != version:
            yield Finding("node", f"its kubelet is {node.version}, the spec says {version}", host, severity="warning")
    for node_name, host in sorted(by_node.items()):
        if node_name not in seen and host in status.names:
            yield Finding("missing", "the API has no node of it; run `invoke apply`", host)


def _requests(api: ApiFacts) -> Iterator[Finding]:
    for state, user, reason, some in folded_requests(api.requests):
        names = ", ".join(one.name for one in some[:3]) + (f" and {len(some) - 3} more" if len(some) > 3 else "")
        count = "1 request" if len(some) == 1 else f"{len(some)} requests"
        age = max(one.age for one in some)
        if state == "pending" and not reason:
            waits = age > PATIENCE_SECONDS
            text = f"{count} of {user} for a certificate of {some[0].signer} waits to be granted ({names})"
            yield Finding("request", text, "", f"for {duration(age)}", "finding" if waits else "warning")
            continue
        what = "stays pending" if state == "pending" else f"was {state}"
        yield Finding("request", f"{count} of {user} for a certificate {what}: {reason} ({names})", "", duration(age))
