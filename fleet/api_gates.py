"""Gates that only the API can answer: accepted (the objects of the phase) and node-ready (the node of a host)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.gates import GateContext, gate


@gate("accepted", timeout=90, of_host=False)
async def accepted(context: GateContext, parameters: Mapping[str, Any]) -> str:
    """Open when the API has every object of the phase as rendered, and serves the kinds that they define."""
    missing = await (await context.cluster_api()).unaccepted(context.phase.objects)
    rest = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return "; ".join(missing[:5]) + rest


@gate("node-ready", timeout=300)
async def node_ready(context: GateContext, parameters: Mapping[str, Any]) -> str:
    """Open when the host's node is Ready and its kubelet serves with a certificate of the cluster's CA."""
    host, _ = context.on_host()
    return await (await context.cluster_api()).node_fault(host.name) if host.node else ""
