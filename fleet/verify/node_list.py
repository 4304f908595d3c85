"""Nodes: each is there and Ready, none is missing, none is foreign."""

from __future__ import annotations

from fleet.nodes import not_ready_because
from fleet.verify.results import Checked, Finding, checked, counted
from fleet.verify.visits import Verification


async def ready_names(run: Verification) -> frozenset[str]:
    """Return the names of the nodes that are Ready now."""
    nodes = await run.api.list("v1", "Node")
    return frozenset(str(node["metadata"]["name"]) for node in nodes if not not_ready_because(node))


async def check_nodes(run: Verification) -> Checked:
    """Compare the nodes of the API with the inventory, and look at the condition Ready of each."""
    live = {str(node["metadata"]["name"]): node for node in await run.api.list("v1", "Node")}
    findings: list[Finding] = []
    notes: list[str] = []
    for host in run.nodes:
        node = live.get(host.node)
        if node is None:
            todo = f"run `invoke apply --limit {host.name}`"
            findings.append(Finding(host.name, f"node {host.node} is missing: it has never registered", todo))
            continue
        reason = not_ready_because(node)
        if reason:
            todo = "see `journalctl -u kubelet` and `journalctl -u containerd` there"
            findings.append(Finding(host.name, f"node {host.node} is not Ready: {reason.rstrip('.')}", todo))
        elif node.get("spec", {}).get("unschedulable"):
            notes.append(f"node {host.node} is cordoned")
    if run.whole:
        known = {host.node for host in run.tree.hosts.values()}
        for name in sorted(set(live) - known):
            todo = "write its host into cluster.yaml, or delete the node"
            findings.append(Finding(name, f"node {name} is foreign: no host of the inventory has this name", todo))
    return checked(counted(len(run.nodes), "node"), findings, notes)
