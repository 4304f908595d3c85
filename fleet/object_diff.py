"""What differs between an object of the API and what an apply would make of it, as ± lines of YAML."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from fleet.kube import Object
from generator.formats.yaml_text import yaml_text

HIDDEN = "(not shown)"
ON_CHANGE = "slipway.io/on-change"
"""The annotation that says what a change of an object's content interrupts on a running cluster."""
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_NOISE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")


def stripped(value: Mapping[str, Any]) -> Object:
    """Return an object without status and without what the server writes into metadata by itself."""
    metadata = {key: part for key, part in value.get("metadata", {}).items() if key not in _NOISE}
    kept = {key: part for key, part in value.items() if key not in ("status", "metadata")}
    return {**kept, "metadata": metadata}


def same(live: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return whether an apply changes nothing that anybody reads."""
    return stripped(live) == stripped(after)


def overlaid(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> Object:
    """Return the live object with the wanted fields laid over it: what an apply makes of it, save for removals.

    For credentials that may not try an apply. Maps merge; lists are taken as wanted where any entry differs from
    the live one's fields, since the server's defaults stand in the entries.
    """
    result = dict(live)
    for key, value in wanted.items():
        result[key] = _laid(live.get(key), value)
    return result


def _laid(live: Any, wanted: Any) -> Any:
    if isinstance(live, Mapping) and isinstance(wanted, Mapping):
        return overlaid(live, wanted)
    if isinstance(live, list) and isinstance(wanted, list) and len(live) == len(wanted):
        return [_laid(one, other) for one, other in zip(live, wanted, strict=True)]
    return wanted


def text_diff(live: Mapping[str, Any] | None, after: Mapping[str, Any]) -> tuple[str, ...]:
    """Return ± lines of YAML with two lines around each change; the values of Secrets are never among them.

    What an annotation of ours says of such a change stands behind them, after an exclamation mark.
    """
    old, new = stripped(live) if live is not None else {}, stripped(after)
    if "Secret" in (after.get("kind"), (live or {}).get("kind")):
        old, new = _masked(old, new)
    before = yaml_text(old).splitlines() if old else []
    lines = difflib.unified_diff(before, yaml_text(new).splitlines(), lineterm="", n=2)
    told = _on_change(old, new) if live is not None else ()
    return (*(line for line in lines if not line.startswith(("---", "+++", "@@"))), *told)


def _masked(old: Object, new: Object) -> tuple[Object, Object]:
    sides = (_without_copies(old), _without_copies(new))
    for field in ("data", "stringData"):
        values = [side.get(field) or {} for side in sides]
        for at, side in enumerate(sides):
            if field in side:
                changed = "(not shown, as it was)" if at == 0 else "(not shown, changed)"
                other = values[1 - at]
                side[field] = {key: HIDDEN if other.get(key) == part else changed for key, part in values[at].items()}
    return sides


def _on_change(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a change of content interrupts, in the object's own words; nothing for a change of metadata alone."""
    contents = [{key: part for key, part in side.items() if key != "metadata"} for side in (old, new)]
    words = (new.get("metadata") or {}).get("annotations", {}).get(ON_CHANGE)
    return (f"! {words}",) if words and contents[0] != contents[1] else ()


def _without_copies(secret: Object) -> Object:
    """Return a Secret without the values that a client has put into an annotation, as `kubectl apply` does."""
    metadata = dict(secret.get("metadata") or {})
    annotations = metadata.get("annotations") or {}
    if _LAST_APPLIED in annotations:
        metadata["annotations"] = {**annotations, _LAST_APPLIED: HIDDEN}
    return {**secret, "metadata": metadata} if metadata else dict(secret)
