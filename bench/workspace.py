"""Workspaces to measure with: a cluster of as many hosts as wanted, outside of the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generator.sealing import create_identity
from lab.cluster import write_spec

CLUSTER = "bench"
CONTROL = 3
_IN_ONE_NETWORK = 250


def spec_of(hosts: int) -> dict[str, Any]:
    """Return cluster.yaml of a cluster with this many hosts, three of them with etcd and the control plane.

    Two pools; workers are written as ranges of 250, as an operator would. Of three hosts or fewer, one is the control
    plane.
    """
    control = CONTROL if hosts > CONTROL else 1
    listed: dict[str, Any] = {
        f"cp-{number}": {"pool": "control", "address": f"10.0.0.{number}"} for number in range(1, control + 1)
    }
    left, first, network = hosts - control, 1, 1
    while left:
        count = min(left, _IN_ONE_NETWORK)
        listed[f"worker-[{first:04d}:{first + count - 1:04d}]"] = {
            "pool": "workers",
            "address": f"10.0.{network}.[1:{count}]",
        }
        left, first, network = left - count, first + count, network + 1
    return {
        "apiVersion": "slipway.io/v1",
        "kind": "Cluster",
        "metadata": {"name": CLUSTER},
        "versions": {"kubernetes": "1.36.1"},
        "network": {"podCIDR": "10.128.0.0/9"},
        "pools": {
            "control": {"roles": ["etcd", "control-plane"], "os": "debian-12"},
            "workers": {"roles": ["worker"], "os": "debian-12", "maxUnavailable": "10%"},
        },
        "hosts": listed,
    }


def make_workspace(root: Path, hosts: int) -> None:
    """Write a cluster of this many hosts and an identity of its own below a new folder; nothing is issued yet."""
    inputs = root / "clusters" / CLUSTER
    inputs.mkdir(parents=True)
    write_spec(inputs / "cluster.yaml", spec_of(hosts))
    recipient = create_identity(identity_path(root), root / "clusters")
    (inputs / "recipients.txt").write_text(f"{recipient}\n")


def identity_path(root: Path) -> Path:
    """Return where a workspace made here keeps its operator's identity."""
    return root / "identity"
