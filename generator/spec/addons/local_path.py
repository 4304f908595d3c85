"""The section `addons.localPath`: volumes that are folders on the disks of nodes, made when a pod first needs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from generator.spec.addons.base import AddonSection
from generator.spec.artifacts import PUBLICATIONS
from generator.spec.layout import LINK_DIR, PROGRAM_DIR, STATE_DIR, binary_dir
from generator.spec.scalars import AbsolutePath
from generator.spec.sections import POD_LOGS

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster

_SYSTEM = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/tmp",
    "/usr", "/var/cache", "/var/lib/dpkg", "/var/lib/rpm", "/var/lib/systemd", "/var/lock", "/var/log", "/var/run",
    "/var/spool", "/var/tmp",
)  # fmt: skip
_FULL = ("/home", "/opt", "/srv", "/mnt", "/var", "/var/lib")
"""Folders that are others' too: one below them may be its own."""

_NETWORK = ("/opt/cni", "/var/lib/calico", "/var/lib/cni", "/var/lib/kube-proxy")
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
    path = PurePosixPath(section.path)
    for folder, owner in _taken(cluster):
        if path.is_relative_to(folder) or PurePosixPath(folder).is_relative_to(path):
            findings.fault(_PATH, f"{path} holds what is {owner}'s, or lies within it", "use a folder of its own")
            return
    within = next((one for one in _SYSTEM if path.is_relative_to(one)), None)
    if within is not None:
        findings.fault(_PATH, f"{path} lies in {within}, which is the system's", "use a folder such as /srv/volumes")
    elif str(path) in _FULL:
        findings.fault(
            _PATH, f"{path} is a folder of the system, and the mode of it becomes 0700", "use a folder below it"
        )


def _taken(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Yield the folders of others on hosts, each with who has it."""
    directories = cluster.directories
    yield directories.etcd_data, "etcd"
    if directories.etcd_wal is not None:
        yield directories.etcd_wal, "etcd"
    yield directories.kubelet, "the kubelet"
    yield POD_LOGS, "the kubelet"
    yield directories.containerd, "containerd"
    yield directories.audit_log, "the audit log"
    for folder in _NETWORK:
        yield folder, "the network"
    for folder in (STATE_DIR, PROGRAM_DIR, LINK_DIR):
        yield folder, "Slipway"
    for program in PUBLICATIONS:
        # Version folders of its binaries; and its state, where it has any.
        yield str(PurePosixPath(binary_dir(program, "0")).parent), program
        yield f"/var/lib/{program}", program
    backups = cluster.addons.etcd_backup.target.host_path
    if cluster.addons.etcd_backup.enabled and backups is not None:
        yield backups, "the backup of etcd"
