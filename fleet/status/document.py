"""A status for programs: plain values in a shape that stays (docs/status.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fleet.cluster_record import Recorded
from fleet.state import UnitFacts
from fleet.status.backup import newest_good
from fleet.status.collect import Status
from fleet.status.finding import Finding
from fleet.status.findings import exit_code
from fleet.status.host_facts import HostFacts


def status_document(status: Status, found: Sequence[Finding]) -> dict[str, Any]:
    """Return a status as plain values for `--json`; keys in camelCase like the spec, times in UTC."""
    return {
        "cluster": status.tree.cluster,
        "time": status.now.isoformat(timespec="seconds"),
        "exit": exit_code(tuple(found)),
        "findings": [
            {"severity": one.severity, "kind": one.kind, "host": one.host, "text": one.text, "detail": one.detail}
            for one in found
        ],
        "hosts": {name: _host(status, name) for name in status.names},
        "formed": status.formed,
        "health": [
            {"host": one.host, "component": one.component, "healthy": one.good, "trouble": one.trouble}
            for one in status.health
        ],
        "etcd": _etcd(status),
        "backup": _backup(status),
        "api": _api(status),
        "lock": status.lock,
        "journal": [dict(entry) for entry in status.journal],
    }


def _host(status: Status, name: str) -> dict[str, Any]:
    host = status.tree.hosts[name]
    if name in status.unreachable:
        return {"reachable": False, "trouble": status.unreachable[name]}
    facts = status.hosts[name]
    state = facts.state
    work = status.plan.hosts[name].work if name in status.plan.hosts else {}
    return {
        "reachable": True,
        "generation": state.generation,
        "rendered": host.digest,
        "unfinishedPhases": sorted(phase for phase, one in work.items() if one.unfinished),
        "pending": dict(sorted(state.pending.items())),
        "cordoned": state.cordoned,
        "clockAhead": round(state.clock_ahead, 1),
        "leftOut": status.plan.left_out.get(name, ""),
        "units": {unit.name: _unit(facts, unit.name) for unit in host.units()},
        "ports": [
            {"port": one.port, "address": one.address, "process": one.process, "pid": one.pid, "unit": one.unit}
            for one in facts.listening
        ],
        "certificates": {
            path: {
                "subject": one.subject, "notAfter": one.ends.isoformat(timespec="seconds"), "rotates": one.rotates,
            }
            for path, one in sorted(facts.certificates.items())
        },
    }  # fmt: skip


def _unit(facts: HostFacts, name: str) -> dict[str, Any]:
    shown = facts.state.units.get(name, UnitFacts())
    seconds = facts.seconds.get(name)
    return {
        "active": shown.active,
        "sub": shown.sub,
        "enabled": shown.enabled,
        "restarts": shown.restarts,
        "seconds": None if seconds is None else round(seconds),
    }


def _etcd(status: Status) -> dict[str, Any] | None:
    etcd = status.etcd
    if etcd is None:
        return None
    leader = etcd.leader
    members = []
    for one in etcd.members:
        entry: dict[str, Any] = {
            "id": one.id, "name": one.name, "address": one.address, "learner": one.learner,
            "answers": one.status is not None, "alarms": list(one.alarms),
        }  # fmt: skip
        if one.status is not None:
            entry |= {
                "version": one.status.version, "dbSize": one.status.db_size, "dbSizeInUse": one.status.db_in_use,
                "raftIndex": one.status.raft_index, "raftTerm": one.status.raft_term, "lag": etcd.lag(one),
            }  # fmt: skip
        members.append(entry)
    return {
        "trouble": etcd.trouble,
        "leader": leader.name if leader is not None else "",
        "quota": etcd.quota,
        "members": members,
    }


def _backup(status: Status) -> dict[str, Any] | None:
    seen = [facts.backup for facts in status.hosts.values() if facts.backup is not None]
    good = newest_good(seen)
    if not seen:
        return None
    failures = {
        name: facts.backup.failure
        for name, facts in status.hosts.items()
        if facts.backup is not None and facts.backup.failed and facts.backup.failure is not None
    }
    return {
        "lastGood": None if good is None else {
            "time": good.time.isoformat(timespec="seconds"), "name": good.name, "revision": good.revision,
            "size": good.size, "ageSeconds": round((status.now - good.time).total_seconds()),
        },
        "failures": {
            name: {"time": one.time.isoformat(timespec="seconds"), "reason": one.reason}
            for name, one in failures.items()
        },
    }  # fmt: skip


def _api(status: Status) -> dict[str, Any] | None:
    api = status.api
    if api is None:
        return None
    return {
        "notLookedAt": api.unseen,
        "trouble": api.trouble,
        "servers": [
            {"host": one.host, "ready": one.good, "trouble": one.trouble, "failedChecks": list(one.failed)}
            for one in api.servers
        ],
        "nodes": [
            {"name": one.name, "ready": not one.not_ready, "notReady": one.not_ready, "version": one.version,
             "cordoned": one.cordoned}
            for one in api.nodes
        ],
        "requests": [
            {"name": one.name, "signer": one.signer, "user": one.user, "state": one.state, "reason": one.reason,
             "ageSeconds": round(one.age)}
            for one in api.requests
        ],
        "applied": _applied(api.applied),
        "unfinishedSets": list(api.unfinished),
    }  # fmt: skip


def _applied(applied: Recorded | None) -> dict[str, Any] | None:
    if applied is None:
        return None
    return {
        "tree": applied.tree,
        "commit": applied.commit,
        "committed": applied.clean,
        "operator": applied.operator,
        "time": applied.time,
        "run": applied.run,
        "leftOut": list(applied.left_out),
    }
