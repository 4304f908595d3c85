"""Folders of hosts that addons are given: whether one is theirs to fill and to close."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from generator.spec.artifacts import PUBLICATIONS
from generator.spec.layout import LINK_DIR, PROGRAM_DIR, STATE_DIR, SYSTEM_FOLDERS, binary_dir
from generator.spec.sections import POD_LOGS

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster
    from generator.spec.yaml_source import Path

_FULL = (
    "/home", "/opt", "/srv", "/mnt", "/var", "/var/backups", "/var/cache", "/var/lib", "/var/log",
)  # fmt: skip
"""Folders that are others' too: one below them may be its own."""

_SYSTEM = (
    *SYSTEM_FOLDERS, "/root", "/var/cache", "/var/lib/dpkg", "/var/lib/rpm", "/var/lib/systemd", "/var/lock",
    "/var/log", "/var/run", "/var/spool", "/var/tmp",
)  # fmt: skip
_NETWORK = ("/opt/cni", "/var/lib/calico", "/var/lib/cni", "/var/lib/kube-proxy")


def check_folder(cluster: Cluster, findings: Findings, at: Path, folder: str) -> bool:
    """Check that a folder, whose mode becomes 0700, is nobody else's; return whether it is."""
    path = PurePosixPath(folder)
    for taken, owner in _taken(cluster, at):
        if path.is_relative_to(taken) or PurePosixPath(taken).is_relative_to(path):
            findings.fault(at, f"{path} holds what is {owner}'s, or lies within it", "use a folder of its own")
            return False
    if str(path) in _FULL:
        what = f"{path} is a folder of the system, and the mode of it becomes 0700"
        findings.fault(at, what, "use a folder below it")
        return False
    within = next((one for one in _SYSTEM if path.is_relative_to(one)), None)
    if within is not None:
        findings.fault(at, f"{path} lies in {within}, which is the system's", "use a folder such as /srv/data")
        return False
    return True


def _taken(cluster: Cluster, at: Path) -> Iterator[tuple[str, str]]:
    """Yield the folders of others on hosts, each with who has it; `at` is the field of the one that asks."""
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
    backup, volumes = cluster.addons.etcd_backup, cluster.addons.local_path
    if backup.enabled and backup.target.host_path is not None and "etcdBackup" not in at:
        yield backup.target.host_path, "the backup of etcd"
    if volumes.enabled and "localPath" not in at:
        yield volumes.path, "local path"
