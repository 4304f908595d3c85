"""Whether a pool can spare a node now: nodes that were Ready when a run began and are not now have taken its slots."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.batches import slots
from fleet.folding import folded
from fleet.inventory import Host
from fleet.tree import RenderedTree


def no_room_because(tree: RenderedTree, host: Host, before: Mapping[str, bool], ready: Mapping[str, bool]) -> str:
    """Return why a host may not go down now, "" where it may: as many as maxUnavailable of its pool may be down."""
    pool = [one for one in tree.hosts.values() if one.pool.name == host.pool.name]
    lost = [
        one.name for one in pool if one.name != host.name and before.get(one.node, False) and not ready.get(one.node)
    ]
    if len(lost) < slots(host.pool, len(pool)):
        return ""
    verb = "was" if len(lost) == 1 else "were"
    return f"{folded(lost)} of pool {host.pool.name} {verb} Ready when this run began and not now (maxUnavailable)"
