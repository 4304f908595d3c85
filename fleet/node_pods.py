"""The pods that a node must have before it is of use: those of the DaemonSets that are applied before nodes join."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.kube import Api, Object, Ref
from fleet.nodes import node_ref
from fleet.rollout_reasons import is_ready, pod_reason
from fleet.selectors import belongs_on, selector_of
from fleet.tree import Host
from generator.errors import ApiError

_CNI = ("cni ", "NetworkPluginNotReady", "network plugin")
_CNI_CONFIG = "/etc/cni/net.d/"


async def with_pods(api: Api, host: Host, daemons: Sequence[Ref], fault: str) -> str:
    """Return why a host's node is not in service, "" when it is: its own fault, and the pods that it lacks.

    A node without its network pod is not Ready for that very reason, so the pod's own reason stands beside the node's.
    """
    node = await api.find(node_ref(host.node))
    if node is None:
        return fault
    pods = await missing_pod(api, node, daemons)
    if pods:
        return f"{fault}; {pods}" if fault else pods
    return f"{fault}{network_words(host, daemons, fault)}"


async def missing_pod(api: Api, node: Object, daemons: Sequence[Ref]) -> str:
    """Return which pod of the DaemonSets is not ready on a node and why, "" when all are."""
    name = str(node["metadata"]["name"])
    for ref in daemons:
        live = await api.find(ref)
        if live is None:
            # What was not applied yet is the gate of another phase.
            continue
        pods = [
            pod
            for pod in await api.list(
                "v1", "Pod", ref.namespace, labels=selector_of(live), fields=f"spec.nodeName={name}"
            )
            if not pod["metadata"].get("deletionTimestamp")
        ]
        if not pods:
            if belongs_on(live, node):
                return f"{ref} has no pod on {name} yet"
        elif not any(is_ready(pod) for pod in pods):
            try:
                why = await pod_reason(api, pods[0])
            except ApiError as error:
                why = "" if error.status in (403, 404) else str(error)
            pod = pods[0]["metadata"]["name"]
            return f"{ref}: {why or f'its pod {pod} is not ready'}"
    return ""


def network_words(host: Host, daemons: Sequence[Ref], fault: str) -> str:
    """Return what to do about a node that waits for a network which nothing in the tree brings, "" for any other."""
    if daemons or not any(word in fault for word in _CNI):
        return ""
    if any(item.path.startswith(_CNI_CONFIG) for item in host.items):
        return ""
    return (
        "; nothing in the tree brings a network to the nodes (network.plugin: none leaves that to you): give its "
        "objects as set 10-network in addons.jsonnet, which is applied before the nodes, or choose a plugin"
    )
