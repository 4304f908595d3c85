"""Labels and taints of nodes: those of the inventory are kept, those of others are left alone.

The annotation slipway.io/managed remembers on the node which labels and taints are Slipway's, so that one that left the
inventory is taken away and one that a person or a controller has set is not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.kube import Api
from fleet.nodes import node_ref
from generator.errors import ApiError

MANAGED = "slipway.io/managed"
_ATTEMPTS = 5

Taint = Mapping[str, str]
TaintKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class NodeChange:
    """What must change on one node: ± lines for people, and the merge patch that does it."""

    node: str
    lines: tuple[str, ...]
    patch: Mapping[str, Any]


def node_change(live: Mapping[str, Any], labels: Mapping[str, str], taints: Sequence[Taint]) -> NodeChange | None:
    """Return what makes a live Node carry the wanted labels and taints, None where nothing does."""
    metadata = live["metadata"]
    name = str(metadata["name"])
    present: Mapping[str, str] = metadata.get("labels") or {}
    ours_labels, ours_taints = _managed(metadata.get("annotations") or {})
    lines: list[str] = []
    label_patch: dict[str, str | None] = {}
    for key in sorted({*labels, *(ours_labels & set(present))}):
        if present.get(key) == labels.get(key):
            continue
        if key in present:
            lines.append(f"-label {key}={present[key]}")
        if key in labels:
            lines.append(f"+label {key}={labels[key]}")
        label_patch[key] = labels.get(key)
    kept, taint_lines = _taints((live.get("spec") or {}).get("taints") or (), taints, ours_taints)
    lines.extend(taint_lines)
    patch: dict[str, Any] = {"metadata": {"resourceVersion": metadata["resourceVersion"]}}
    if label_patch:
        patch["metadata"]["labels"] = label_patch
    if taint_lines:
        patch["spec"] = {"taints": kept}
    mark = _mark(labels, taints)
    if (metadata.get("annotations") or {}).get(MANAGED) != mark:
        patch["metadata"]["annotations"] = {MANAGED: mark}
        if not lines:
            lines.append(f"+annotation {MANAGED}")
    return NodeChange(name, tuple(lines), patch) if lines else None


async def settle(api: Api, node: str, labels: Mapping[str, str], taints: Sequence[Taint]) -> NodeChange | None:
    """Give a node its labels and taints and return what changed; None also where the API knows no such node."""
    for attempt in range(_ATTEMPTS):
        live = await api.find(node_ref(node))
        change = node_change(live, labels, taints) if live is not None else None
        if change is None:
            return None
        try:
            await api.merge_patch(node_ref(node), change.patch)
            return change
        except ApiError as error:
            # The kubelet writes its node every few seconds; what was read is then read again.
            if error.status != 409 or attempt == _ATTEMPTS - 1:
                raise
    return None


def _taints(present: Sequence[Taint], wanted: Sequence[Taint], ours: set[TaintKey]) -> tuple[list[Taint], list[str]]:
    """Return the whole new list, in the order of the old one, and ± lines."""
    goal = {_taint_key(taint): taint for taint in wanted}
    seen: set[TaintKey] = set()
    kept: list[Taint] = []
    lines: list[str] = []
    for taint in present:
        key = _taint_key(taint)
        seen.add(key)
        of_others = key not in goal and key not in ours
        if of_others or (key in goal and goal[key].get("value", "") == taint.get("value", "")):
            kept.append(taint)
        else:
            lines.append(f"-taint {_taint_text(taint)}")
            if key in goal:
                lines.append(f"+taint {_taint_text(goal[key])}")
                kept.append(goal[key])
    for key in sorted(set(goal) - seen):
        lines.append(f"+taint {_taint_text(goal[key])}")
        kept.append(goal[key])
    return kept, lines


def _managed(annotations: Mapping[str, str]) -> tuple[set[str], set[TaintKey]]:
    try:
        value = json.loads(annotations.get(MANAGED, "{}"))
        pairs = (str(text).rpartition(":") for text in value.get("taints", ()))
        return set(map(str, value.get("labels", ()))), {(key, effect) for key, _, effect in pairs}
    except (ValueError, AttributeError, TypeError):
        # Somebody has damaged it: nothing is then known to be ours, and nothing is taken away.
        return set(), set()


def _mark(labels: Mapping[str, str], taints: Sequence[Taint]) -> str:
    keys = sorted(f"{key}:{effect}" for key, effect in map(_taint_key, taints))
    return json.dumps({"labels": sorted(labels), "taints": keys}, separators=(",", ":"))


def _taint_key(taint: Taint) -> TaintKey:
    return taint["key"], taint["effect"]


def _taint_text(taint: Taint) -> str:
    return f"{taint['key']}={taint.get('value', '')}:{taint['effect']}"
