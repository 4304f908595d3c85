"""The spec of a cluster on lab hosts: what a user would write for machines of this kind, and nothing in the code.

What is special about these machines, and why each override is there:

- The hosts are containers on one kernel without CAP_SYS_RESOURCE on some machines: runc cannot lower oom_score_adj, so
  containerd is told to leave it alone; AppArmor belongs to the machine.
- nf_conntrack_max is read-only in a network namespace, so kube-proxy must not set it.
- cgroup v1 sub-trees are handed to each host: the driver is cgroupfs.
- Two cores carry every host: etcd gets time for its heartbeats.
- API servers are stopped all the time here, and one of this version waits for watches that no client ends until systemd
  kills it: after 5 s, not 30.
- There are no images of CoreDNS and metrics-server on these machines, and nowhere to pull them from.
- Kubelets are restarted all the time here: each reports its state every 2 s, not 10, so that a node is Ready sooner.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

NETWORK = "10.84"
"""The pod network is NETWORK.0.0/16; a host with address …N has the pod subnet NETWORK.N.0/24."""


def pod_subnet(address: str) -> str:
    """Return the pod subnet of a host from the last part of its address."""
    return f"{NETWORK}.{address.rsplit('.', 1)[1]}.0/24"


def lab_spec(
    name: str,
    *,
    control: Mapping[str, str],
    workers: Mapping[str, str],
    versions: Mapping[str, str],
    ssh_user: str = "root",
) -> dict[str, Any]:
    """Return the content of cluster.yaml for lab hosts; `control` and `workers` map host names to addresses."""
    hosts = {
        host: {"pool": pool, "address": address, "podSubnet": pod_subnet(address)}
        for pool, members in (("control", control), ("workers", workers))
        for host, address in members.items()
    }
    return {
        "apiVersion": "slipway.io/v1",
        "kind": "Cluster",
        "metadata": {"name": name},
        "versions": dict(versions),
        "network": {"podCIDR": f"{NETWORK}.0.0/16", "serviceCIDR": "10.85.0.0/16", "plugin": "bridge"},
        "runtime": {"cgroupDriver": "cgroupfs", "sandboxImage": "slipway.lab/pause:1"},
        "verify": {"image": "slipway.lab/busybox:1"},
        "artifacts": {"fetch": "push"},
        "ssh": {"user": ssh_user},
        "addons": {"coredns": {"enabled": False}, "metricsServer": {"enabled": False}},
        "pools": {
            "control": {"roles": ["etcd", "control-plane"], "os": "debian-12", "arch": "amd64"},
            "workers": {"roles": ["worker"], "os": "debian-12", "arch": "amd64"},
        },
        "hosts": hosts,
        "components": {
            "containerd": {
                "config": {
                    "plugins": {
                        "io.containerd.grpc.v1.cri": {"disable_apparmor": True, "restrict_oom_score_adj": True},
                    }
                }
            },
            "etcd": {"flags": {"heartbeat-interval": 500, "election-timeout": 5000}},
            "kube-apiserver": {"unit": {"Service": {"TimeoutStopSec": 5}}},
            "kubelet": {"config": {"nodeStatusUpdateFrequency": "2s", "nodeStatusReportFrequency": "5m"}},
            "kube-proxy": {"config": {"conntrack": {"maxPerCore": 0, "min": 0}}},
        },
    }


def versions_in(artifacts: Path) -> dict[str, str]:
    """Return the versions that a directory of artifacts holds, as cluster.yaml's `versions` writes them.

    "none" where the directory has none, which leaves crictl off the hosts.
    """
    fields = {
        "kubernetes": "kubernetes",
        "etcd": "etcd",
        "containerd": "containerd",
        "runc": "runc",
        "cniPlugins": "cni-plugins",
        "crictl": "crictl",
    }
    found: dict[str, str] = {}
    # An older cache has none; without backups nobody asks for it.
    if (artifacts / "age").is_dir():
        fields["age"] = "age"
    for field, folder in fields.items():
        versions = sorted(path.name.removeprefix("v") for path in (artifacts / folder).glob("v*"))
        found[field] = versions[-1] if versions else "none"
    return found


def write_spec(path: Path, spec: Mapping[str, Any]) -> None:
    """Write a spec as cluster.yaml, sections in the given order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(spec), sort_keys=False))
