"""Rules about pools whose hosts have GPUs."""

from __future__ import annotations

from generator.spec.faults import Findings
from generator.spec.gpu import NVIDIA_KEY, NVIDIA_TOOLKIT
from generator.spec.model import Cluster
from generator.spec.yaml_source import Path


def check_gpus(cluster: Cluster, findings: Findings) -> None:
    """Check that GPUs are where pods run, are found by their label, and have a source of the toolkit."""
    for pool in cluster.pools.values():
        path: Path = ("pools", pool.name, "gpu")
        if pool.gpu is None:
            continue
        if not pool.is_node:
            what = (
                f"hosts of pool {pool.name} are no nodes ({', '.join(sorted(pool.roles))}), so no pod could use a GPU"
            )
            findings.fault(path, what, "give the pool the role worker, or take gpu out")
            continue
        if pool.labels[NVIDIA_KEY] != "true":
            what = f'is {pool.labels[NVIDIA_KEY]!r}, but pods find nodes with GPUs by {NVIDIA_KEY}: "true"'
            findings.fault(("pools", pool.name, "labels", NVIDIA_KEY), what, "take the label out")
        if not any(source.family == pool.os_family for source in pool.system.package_sources):
            manager = "apt" if pool.os_family == "debian" else "dnf"
            what = f"{pool.os} has no package {NVIDIA_TOOLKIT}, and no package source for {manager} is named"
            todo = "name NVIDIA's repository or a mirror of it under system.packageSources, unless the hosts have it"
            findings.warn(path, what, todo)
