"""Gates that only the API can answer: accepted and rolled-out (objects of the phase), node-ready (node of a host)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fleet.gates import GateContext, gate
from fleet.rollout import Watch

_SHOWN = 5


@gate("accepted", timeout=90, of_host=False)
async def accepted(context: GateContext, parameters: Mapping[str, Any]) -> str:
    """Open when the API has every object of the phase as rendered, and serves the kinds that they define."""
    return _few(await (await context.cluster_api()).unaccepted(context.phase.objects))


@gate("rolled-out", timeout=300, of_host=False)
async def rolled_out(context: GateContext, parameters: Mapping[str, Any]) -> str:
    """Open when the workloads of the phase's objects run as applied, jobs are done and APIs are served.

    A DaemonSet of a thousand nodes takes its time, so what is waited for is that it comes further.
    """
    watch = context.memory.setdefault("watch", Watch())
    hanging = await (await context.cluster_api()).not_rolled_out(context.phase.objects, watch)
    context.memory["progress"] = watch.progress
    return _few(hanging)


@gate("node-ready", timeout=300)
async def node_ready(context: GateContext, parameters: Mapping[str, Any]) -> str:
    """Open when the host's node is Ready, its kubelet proves the cluster's CA, and the network's pods there run."""
    host, _ = context.on_host()
    return await (await context.cluster_api()).node_fault(host.name) if host.node else ""


def _few(reasons: Sequence[str]) -> str:
    rest = f" and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    return "; ".join(reasons[:_SHOWN]) + rest
