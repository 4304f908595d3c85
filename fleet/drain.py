"""Cordon, drain, uncordon: pods leave by eviction, so that disruption budgets hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fleet.kube import Api, Object, Ref
from fleet.nodes import node_ref
from generator.errors import ApiError

CORDONED = "slipway.io/cordoned"
"""Says on a node that Slipway cordoned it; a cordon of somebody else is never taken away."""
SECONDS = 600.0
_POLL = 2.0


async def cordon(api: Api, node: str) -> None:
    """Keep new pods away from a node; raises ApiError."""
    live = await api.get(node_ref(node))
    if (live.get("spec") or {}).get("unschedulable"):
        return
    await api.merge_patch(
        node_ref(node), {"metadata": {"annotations": {CORDONED: "true"}}, "spec": {"unschedulable": True}}
    )


async def uncordon(api: Api, node: str) -> None:
    """Let pods come again to a node that Slipway cordoned; one that somebody else cordoned stays so."""
    live = await api.get(node_ref(node))
    if CORDONED in (live["metadata"].get("annotations") or {}):
        await api.merge_patch(
            node_ref(node), {"metadata": {"annotations": {CORDONED: None}}, "spec": {"unschedulable": None}}
        )


async def drain(
    api: Api,
    node: str,
    *,
    seconds: float = SECONDS,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Cordon a node and evict its pods, save those of DaemonSets and static ones, and wait until they are gone.

    A disruption budget that forbids an eviction is waited for. Raises ApiError after `seconds`, with what is still
    there and why, and at once, before anything is evicted, for a pod without a controller, which nobody would start
    anew.
    """
    deadline = now() + seconds
    pods = await _leaving(api, node)
    alone = [_name(pod) for pod in pods if not _controller(pod) and not _ended(pod)]
    if alone:
        raise ApiError(
            f"{api.cluster}: node {node}: pods without a controller would be lost: {', '.join(sorted(alone))}; "
            "move or delete them, then run again"
        )
    await cordon(api, node)
    version = await _eviction_version(api)
    while pods := await _leaving(api, node):
        held = {}
        for pod in pods:
            if not pod["metadata"].get("deletionTimestamp"):
                reason = await _evict(api, pod, version)
                if reason:
                    held[_name(pod)] = reason
        if now() >= deadline:
            words = ", ".join(f"{name} ({held.get(name, 'still ending')})" for name in sorted(map(_name, pods)))
            raise ApiError(
                f"{api.cluster}: node {node}: not drained after {seconds:.0f} s, still there: {words}; "
                "see to these pods, then run again"
            )
        await sleep(_POLL)


async def _leaving(api: Api, node: str) -> list[Object]:
    """Return the pods that a drain moves."""
    pods = await api.list("v1", "Pod", fields=f"spec.nodeName={node}")
    return [
        pod
        for pod in pods
        if "kubernetes.io/config.mirror" not in (pod["metadata"].get("annotations") or {})
        and _controller(pod) != "DaemonSet"
    ]


async def _evict(api: Api, pod: Mapping[str, Any], version: str) -> str:
    """Evict one pod; return why that is not allowed now, "" where it is on its way or gone."""
    metadata = pod["metadata"]
    ref = Ref("v1", "Pod", metadata["namespace"], metadata["name"])
    eviction = {
        "apiVersion": version,
        "kind": "Eviction",
        "metadata": {"name": ref.name, "namespace": ref.namespace},
        "deleteOptions": {"preconditions": {"uid": metadata["uid"]}},
    }
    try:
        await api.post(ref, "eviction", eviction, wait_busy=False)
    except ApiError as error:
        if error.status in (404, 409):
            return ""
        if error.status == 429:
            return "its disruption budget allows no eviction now"
        raise
    return ""


async def _eviction_version(api: Api) -> str:
    """Return policy/v1 where evictions know it (Kubernetes 1.22), else policy/v1beta1."""
    value = await api.call("GET", "/api/v1", "discover v1")
    for entry in value.get("resources") or ():
        if entry.get("name") == "pods/eviction":
            return f"{entry.get('group', 'policy')}/{entry.get('version', 'v1')}"
    return "policy/v1"


def _controller(pod: Mapping[str, Any]) -> str:
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((str(owner["kind"]) for owner in owners if owner.get("controller")), "")


def _ended(pod: Mapping[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _name(pod: Mapping[str, Any]) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
