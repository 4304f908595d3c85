"""Whether the pod network enforces NetworkPolicy, which addons bring for their own pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster

WITHOUT = frozenset({"bridge", "flannel"})
"""Plugins that let every pod reach every other, whatever a NetworkPolicy says; of `none` nobody knows."""


def check_network_policy(cluster: Cluster, findings: Findings) -> None:
    """Warn where a NetworkPolicy is kept by the API and by nothing else."""
    plugin = cluster.network.plugin
    if plugin in WITHOUT:
        what = f"{plugin} enforces no NetworkPolicy: those of the addons and your own have no effect"
        findings.warn(("network", "plugin"), what, "use plugin: calico where pods must be kept apart")
