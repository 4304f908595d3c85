"""Which pods belong to a workload, and which of its pods a node is to have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def selector_of(live: Mapping[str, Any]) -> str:
    """Return the label selector of a workload as the API takes it in a query."""
    selector = live.get("spec", {}).get("selector") or {}
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for one in selector.get("matchExpressions") or ():
        words = ",".join(one.get("values") or ())
        match one.get("operator"):
            case "In":
                parts.append(f"{one['key']} in ({words})")
            case "NotIn":
                parts.append(f"{one['key']} notin ({words})")
            case "Exists":
                parts.append(str(one["key"]))
            case "DoesNotExist":
                parts.append(f"!{one['key']}")
    return ",".join(parts)


_OF_DAEMONS = frozenset(
    f"node.kubernetes.io/{name}"
    for name in (
        "not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable",
        "network-unavailable",
    )
)  # fmt: skip
"""Taints that the DaemonSet controller makes its pods tolerate (the last one those on the host's network)."""


def belongs_on(daemons: Mapping[str, Any], node: Mapping[str, Any]) -> bool:
    """Return whether a DaemonSet surely has a pod on a node, by its nodeSelector and tolerations.

    Where it also asks for an affinity that only the scheduler can judge, nothing is sure.
    """
    spec = daemons.get("spec", {}).get("template", {}).get("spec", {})
    labels = node.get("metadata", {}).get("labels") or {}
    wanted = spec.get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    if affinity.get("requiredDuringSchedulingIgnoredDuringExecution"):
        return False
    tolerations = spec.get("tolerations") or ()
    return all(
        taint.get("effect") == "PreferNoSchedule"
        or taint.get("key") in _OF_DAEMONS
        or any(_tolerates(one, taint) for one in tolerations)
        for taint in node.get("spec", {}).get("taints") or ()
    )


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return not toleration.get("key") or toleration["key"] == taint.get("key")
    same_value = (toleration.get("value") or "") == (taint.get("value") or "")
    return toleration.get("key") == taint.get("key") and same_value
