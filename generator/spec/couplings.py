"""The rules between fields of a spec."""

from __future__ import annotations

from generator.spec.faults import Findings
from generator.spec.model import Cluster
from generator.spec.schema import ClusterSpec


def check_cluster(spec: ClusterSpec, cluster: Cluster, findings: Findings) -> None:
    """Check all rules that need no list of hosts."""


def check_hosts(spec: ClusterSpec, cluster: Cluster, findings: Findings) -> None:
    """Check all rules about hosts and pools."""
