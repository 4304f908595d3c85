"""Rules about what nodes carry: labels and taints, as the API server and the kubelet take them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from generator.spec.faults import Findings
from generator.spec.inventory import ZONE_LABEL
from generator.spec.model import Cluster, Taint
from generator.spec.scalars import is_qualified_name
from generator.spec.yaml_source import Path

_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_KUBELET_OWN = frozenset({"kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch"})
_OPEN_PREFIXES = (
    "node-role.kubernetes.io", "node.kubernetes.io", "kubelet.kubernetes.io", "node-restriction.kubernetes.io",
    "topology.kubernetes.io",
)  # fmt: skip
"""Prefixes that nodes may carry: the kubelet sets those that NodeRestriction lets it, all others go through the API."""


def check_nodes(cluster: Cluster, findings: Findings) -> None:
    """Check labels and taints of pools and hosts."""
    for pool in cluster.pools.values():
        path: Path = ("pools", pool.name)
        _labels(pool.labels, (*path, "labels"), findings)
        _taints(pool.taints, (*path, "taints"), findings)
        if not pool.is_node and "labels" in findings.document.data["pools"].get(pool.name, {}):
            findings.warn(
                (*path, "labels"), f"hosts of pool {pool.name} are no nodes and carry no labels", "take them out"
            )
    seen: set[Path] = set()
    for host in cluster.hosts:
        path = findings.host_paths[host.name]
        if path not in seen:
            seen.add(path)
            _labels(host.labels, (*path, "labels"), findings)
            if host.zone is not None and host.labels.get(ZONE_LABEL) != host.zone:
                what = f"{ZONE_LABEL} says {host.labels.get(ZONE_LABEL)}, but zone says {host.zone}"
                findings.fault((*path, "labels", ZONE_LABEL), what, "take the label out")


def _labels(labels: Mapping[str, str], path: Path, findings: Findings) -> None:
    for key, value in labels.items():
        at = (*path, key)
        prefix = key.rpartition("/")[0]
        if not is_qualified_name(key):
            findings.fault(
                at, f"{key!r} is not the key of a label", "write name or prefix/name, at most 63 letters, digits, - _ ."
            )
        elif key in _KUBELET_OWN:
            findings.fault(at, f"{key} is set by the kubelet itself", "take it out")
        elif (prefix.endswith(("kubernetes.io", "k8s.io"))) and not prefix.endswith(_OPEN_PREFIXES):
            what = f"{prefix}/ is reserved, and the API server refuses such labels from nodes"
            findings.fault(at, what, f"use node-role.kubernetes.io/, {_OPEN_PREFIXES[3]}/ or a prefix of your own")
        if not _VALUE.fullmatch(value):
            what = f"{value!r} is not the value of a label"
            findings.fault(at, what, "use at most 63 letters, digits, - _ . with a letter or digit at both ends")


def _taints(taints: tuple[Taint, ...], path: Path, findings: Findings) -> None:
    seen: set[tuple[str, str]] = set()
    for taint in taints:
        if not is_qualified_name(taint.key):
            findings.fault(path, f"{taint.key!r} is not the key of a taint", "write name or prefix/name")
        if not _VALUE.fullmatch(taint.value):
            findings.fault(
                path, f"{taint.value!r} is not the value of a taint", "use at most 63 letters, digits, - _ ."
            )
        if (taint.key, taint.effect) in seen:
            findings.fault(path, f"{taint.key} has the effect {taint.effect} twice", "keep one of the two")
        seen.add((taint.key, taint.effect))
