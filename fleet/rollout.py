"""Whether workloads run as applied: all replicas of the newest kind there and available, jobs done, APIs served.

What counts is what `kubectl rollout status` counts (https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
#complete-deployment); of a DaemonSet the pods of nodes that are not Ready are left out, since such a node is another
gate's matter and must not hold up everything else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleet.kube import Api, Object, Ref
from fleet.nodes import not_ready_because
from fleet.rollout_reasons import hang_reason
from fleet.selectors import selector_of

KINDS = ("APIService", "DaemonSet", "Deployment", "Job", "StatefulSet")
REASON_SECONDS = 5.0
"""How long a reason is good for: to find one takes several questions, of which a thousand nodes make long answers."""
_AT_ONCE = 8


@dataclass
class Watch:
    """What was seen of roll-outs while somebody waits for them.

    `found` holds why workloads hang and when that was found out (seconds of a clock that only goes on), `best` how far
    each has come at its generation. `progress` grows whenever one comes further than it ever was.
    """

    found: dict[Ref, tuple[float, str]] = field(default_factory=dict)
    best: dict[tuple[Ref, int], int] = field(default_factory=dict)
    progress: int = 0

    async def reason(self, api: Api, ref: Ref, live: Object) -> str:
        """Return why a workload hangs, asked anew where the last answer is some seconds old; "" where nothing tells."""
        when, why = self.found.get(ref, (0.0, ""))
        if not when or time.monotonic() - when >= REASON_SECONDS:
            why = await hang_reason(api, live)
            self.found[ref] = (time.monotonic(), why)
        return why

    def saw(self, ref: Ref, live: Mapping[str, Any]) -> None:
        """Note how many pods of a workload are of the newest kind and how many are available."""
        key = (ref, int(live.get("metadata", {}).get("generation") or 0))
        status = _status(live)
        done = sum(_number(status, name) for name in _COUNTS)
        if done > self.best.get(key, -1):
            self.best[key] = done
            self.progress += 1


_COUNTS = (
    "updatedReplicas", "availableReplicas", "readyReplicas", "updatedNumberScheduled", "numberAvailable", "succeeded",
)  # fmt: skip


async def not_rolled_out(api: Api, refs: Collection[Ref], known: Watch) -> tuple[str, ...]:
    """Return which of the objects do not run as applied, each with its reason; nothing when all do.

    While the API knows no node, nothing can run and nothing is waited for: nodes come in a later phase.
    """
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(ref: Ref) -> tuple[Ref, Object | None, str]:
        async with gate:
            live = await api.find(ref)
            if live is not None:
                known.saw(ref, live)
            return ref, live, "it is not there" if live is None else fault_of(live)

    looked = await asyncio.gather(*(one(ref) for ref in refs if ref.kind in KINDS))
    hanging = [(ref, live, fault) for ref, live, fault in looked if fault]
    if not hanging:
        return ()
    nodes = await api.list("v1", "Node")
    if not nodes:
        return ()
    away = {str(node["metadata"]["name"]) for node in nodes if not_ready_because(node)}
    found: list[str] = []
    # A service that the API asks for itself waits for the pods behind it: theirs is the reason worth reading first.
    for ref, live, fault in sorted(hanging, key=lambda entry: (entry[0].kind == "APIService", entry[0])):
        if live is not None and away and ref.kind == "DaemonSet":
            fault = await _without(api, live, away)
            if not fault:
                continue
        why = await known.reason(api, ref, live) if live is not None and ref.kind != "APIService" else ""
        found.append(f"{ref}: {fault}{f'; {why}' if why else ''}")
    if found and len(away) == len(nodes):
        node = min(nodes, key=lambda one: str(one["metadata"]["name"]))
        found.append(f"no node is Ready ({node['metadata']['name']}: {not_ready_because(node)})")
    return tuple(found)


def fault_of(live: Mapping[str, Any]) -> str:
    """Return what of an object has not come to its end, "" when all has; kinds that never do are always well."""
    match live.get("kind"):
        case "Deployment":
            return _old(live) or _deployment(live)
        case "DaemonSet":
            return _old(live) or _daemon_set(live)
        case "StatefulSet":
            return _old(live) or _stateful_set(live)
        case "Job":
            return _job(live)
        case "APIService":
            return _served(live)
        case _:
            return ""


def _old(live: Mapping[str, Any]) -> str:
    generation = int(live.get("metadata", {}).get("generation") or 0)
    if int(_status(live).get("observedGeneration") or 0) >= generation:
        return ""
    return "kube-controller-manager has not looked at it yet"


def _deployment(live: Mapping[str, Any]) -> str:
    spec, status = live.get("spec", {}), _status(live)
    wanted = _number(spec, "replicas", 1)
    updated, available = _number(status, "updatedReplicas"), _number(status, "availableReplicas")
    total = _number(status, "replicas")
    if updated < wanted:
        paused = "; it is paused: `kubectl rollout resume` lets it go on" if spec.get("paused") else ""
        return f"{updated} of {wanted} replicas are of the newest kind{paused}"
    if total > updated:
        return f"{total - updated} replicas of the kind before are still there"
    return f"{available} of {wanted} replicas are available" if available < wanted else ""


def _daemon_set(live: Mapping[str, Any], spared: int = 0) -> str:
    """Return what a DaemonSet lacks; `spared` pods may be missing."""
    status = _status(live)
    wanted = _number(status, "desiredNumberScheduled") - spared
    updated, available = _number(status, "updatedNumberScheduled"), _number(status, "numberAvailable")
    by_hand = (live.get("spec", {}).get("updateStrategy") or {}).get("type") == "OnDelete"
    if updated < wanted and not by_hand:
        return f"{updated} of {wanted} pods are of the newest kind"
    return f"{available} of {wanted} pods are available" if available < wanted else ""


def _stateful_set(live: Mapping[str, Any]) -> str:
    spec, status = live.get("spec", {}), _status(live)
    wanted, ready = _number(spec, "replicas", 1), _number(status, "readyReplicas")
    strategy = spec.get("updateStrategy") or {}
    kept = _number(strategy.get("rollingUpdate") or {}, "partition")
    updated = _number(status, "updatedReplicas")
    # With nothing to update the controller counts no replica as updated.
    moving = status.get("updateRevision") != status.get("currentRevision")
    if strategy.get("type") != "OnDelete" and moving and updated < wanted - kept:
        return f"{updated} of {wanted - kept} replicas are of the newest kind"
    return f"{ready} of {wanted} replicas are ready" if ready < wanted else ""


def _job(live: Mapping[str, Any]) -> str:
    if live.get("spec", {}).get("suspend"):
        return ""
    conditions = {one.get("type"): one for one in _status(live).get("conditions") or () if one.get("status") == "True"}
    if "Complete" in conditions:
        return ""
    if failed := conditions.get("Failed"):
        said = f"{failed.get('reason', '')}: {failed.get('message', '')}".strip(": ")
        return f"it has failed ({said}); delete it to have it tried again"
    return "it has not ended yet"


def _served(live: Mapping[str, Any]) -> str:
    for one in _status(live).get("conditions") or ():
        if one.get("type") == "Available":
            if one.get("status") == "True":
                return ""
            said = f"{one.get('reason', '')}: {one.get('message', '')}".strip(": ")
            return f"the API server cannot pass on what it serves ({said[:300]})"
    return "kube-apiserver has not looked at it yet"


async def _without(api: Api, live: Object, away: Collection[str]) -> str:
    """Return what a DaemonSet lacks on nodes that are Ready."""
    if _old(live):
        return _old(live)
    pods = await api.list("v1", "Pod", str(live["metadata"]["namespace"]), labels=selector_of(live))
    there = {str(pod.get("spec", {}).get("nodeName") or "") for pod in pods}
    return _daemon_set(live, spared=len(there & set(away)))


def _status(live: Mapping[str, Any]) -> Mapping[str, Any]:
    return live.get("status") or {}


def _number(values: Mapping[str, Any], key: str, default: int = 0) -> int:
    value = values.get(key)
    return default if value is None else int(value)
