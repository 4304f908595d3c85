"""The section `addons.localPath`: volumes that are folders on the disks of nodes, made when a pod first needs them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from generator.spec.addons.base import AddonSection
from generator.spec.scalars import AbsolutePath

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster

_SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/root", "/run", "/sbin", "/sys", "/tmp", "/usr")
_FULL = ("/home", "/opt", "/srv", "/mnt", "/var", "/var/lib", "/var/log", "/var/cache")
_PATH = ("addons", "localPath", "path")


class LocalPathSection(AddonSection):
    """Rancher's local path provisioner."""

    enabled: bool = Field(False, description="Whether volumes can be folders of nodes, class local-path.")
    path: AbsolutePath = Field("/var/lib/local-path", description="Folder on every node that holds them.")
    default_class: bool = Field(True, description="Whether claims that name no class are given this one.")
    reclaim_policy: Literal["Delete", "Retain"] = Field(
        "Delete", description="What becomes of a folder whose claim is deleted."
    )


def check_local_path(cluster: Cluster, findings: Findings) -> None:
    """Check that the folder of the volumes is nobody else's."""
    section = cluster.addons.local_path
    if not section.enabled:
        return
    path, directories = PurePosixPath(section.path), cluster.directories
    taken = {
        directories.etcd_data: "etcd", directories.etcd_wal: "etcd", directories.kubelet: "the kubelet",
        directories.containerd: "containerd", directories.audit_log: "the audit log", "/var/lib/slipway": "Slipway",
    }  # fmt: skip
    for folder, owner in taken.items():
        if folder is not None and (path.is_relative_to(folder) or PurePosixPath(folder).is_relative_to(path)):
            findings.fault(_PATH, f"{path} holds what is {owner}'s, or lies within it", "use a folder of its own")
            return
    if str(path) in _FULL or any(path.is_relative_to(one) for one in _SYSTEM):
        findings.fault(
            _PATH, f"{path} is a folder of the system, and the mode of it becomes 0700", "use a folder below it"
        )
