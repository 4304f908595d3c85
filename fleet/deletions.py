"""Objects that are on their way out: what holds them, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LEFT = ("NamespaceFinalizersRemaining", "NamespaceContentRemaining", "NamespaceDeletionDiscoveryFailure")
"""Conditions of a namespace that does not come to its end, the one that says most first."""


def deletion_words(live: Mapping[str, Any]) -> str:
    """Return why nothing can be applied to an object that is being deleted, and what to do; "" for any other."""
    metadata = live.get("metadata", {})
    since = metadata.get("deletionTimestamp")
    if not since:
        return ""
    held = [str(one) for one in metadata.get("finalizers") or ()]
    by = f", held by the finalizers {', '.join(held)}" if held else ""
    if live.get("kind") == "Namespace":
        conditions = {one.get("type"): one for one in (live.get("status") or {}).get("conditions") or ()}
        stuck = [conditions[name] for name in _LEFT if conditions.get(name, {}).get("status") == "True"]
        why = "".join(f": {str(one.get('message', '')).rstrip('. ')}" for one in stuck[:1])
        return (
            f"it is being deleted since {since} with all that is in it{why}{by}; wait until it has gone and run again; "
            "where it never goes, see what still serves those kinds, and take their finalizers away by hand"
        )
    return f"it is being deleted since {since}{by}; wait until it has gone, then run again"
