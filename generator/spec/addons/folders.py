"""Folders of hosts that addons are given: whether one is theirs to fill and to close."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from generator.spec.layout import SYSTEM_FOLDERS

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster
    from generator.spec.yaml_source import Path

_FULL = (
    "/home", "/opt", "/srv", "/mnt", "/var", "/var/backups", "/var/cache", "/var/lib", "/var/log",
)  # fmt: skip


def check_folder(cluster: Cluster, findings: Findings, at: Path, folder: str) -> bool:
    """Check that a folder, whose mode becomes 0700, is nobody else's; return whether it is."""
    path, directories = PurePosixPath(folder), cluster.directories
    taken = {
        directories.etcd_data: "etcd", directories.etcd_wal: "etcd", directories.kubelet: "the kubelet",
        directories.containerd: "containerd", directories.audit_log: "the audit log", "/var/lib/slipway": "Slipway",
    }  # fmt: skip
    for one, owner in taken.items():
        if one is not None and (path.is_relative_to(one) or PurePosixPath(one).is_relative_to(path)):
            findings.fault(at, f"{path} holds what is {owner}'s, or lies within it", "use a folder of its own")
            return False
    if str(path) in _FULL or any(path.is_relative_to(one) for one in (*SYSTEM_FOLDERS, "/root")):
        what = f"{path} is a folder of the system, and the mode of it becomes 0700"
        findings.fault(at, what, "use a folder below it" if str(path) in _FULL else "use a folder such as /srv/data")
        return False
    return True
