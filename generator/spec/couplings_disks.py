"""Rules about data disks: each named once, mounted where nothing is hidden, holding what the host runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import get_args

from generator.spec.faults import Findings
from generator.spec.layout import SYSTEM_FOLDERS
from generator.spec.model import Cluster, ExtraFile, Host, Pool
from generator.spec.schema import ClusterSpec
from generator.spec.schema_disks import DiskSpec
from generator.spec.sections import Held
from generator.spec.yaml_source import Path

_SYSTEM = (
    *SYSTEM_FOLDERS, "/lib32", "/lib64", "/var/lib/slipway", "/var/log/journal", "/var/lib/dpkg", "/var/lib/rpm",
    "/var/tmp",
)  # fmt: skip
_FULL = ("/home", "/root", "/opt", "/var", "/var/cache", "/var/lib", "/var/log", "/var/spool")
"""Folders in which a system has put something: a mount on them would hide it, one below them does not."""

_NEEDS = {
    "etcd": ("etcd",), "etcd-wal": ("etcd",), "kubelet": ("control-plane", "worker"),
    "containerd": ("control-plane", "worker"), "pod-logs": ("control-plane", "worker"),
}  # fmt: skip


def check_disks(spec: ClusterSpec, cluster: Cluster, findings: Findings) -> None:
    """Check the disks of every pool and every host."""
    for name, pool in spec.pools.items():
        if pool.disks:
            _one_list([], pool.disks, ("pools", name, "disks"), cluster.pools[name], cluster, findings)
    seen: set[Path] = set()
    for host in cluster.hosts:
        path = findings.host_paths[host.name]
        written = spec.hosts[str(path[1])].disks
        if written and path not in seen:
            seen.add(path)
            _one_list(_of_pool(spec, host), written, (*path, "disks"), host.pool, cluster, findings)
    _own_files(cluster, findings)


def _own_files(cluster: Cluster, findings: Findings) -> None:
    """Check that no file of the user's own lies where a disk will be mounted: files come before mounts."""
    said: set[tuple[Path, str]] = set()
    for host in cluster.hosts:
        folders = [
            folder
            for disk in host.disks
            for folder in (disk.mount, *filter(None, map(cluster.directories.of, disk.holds)))
        ]
        layers: tuple[tuple[Path, tuple[ExtraFile, ...]], ...] = (
            (("files",), cluster.files),
            (("pools", host.pool.name, "files"), host.pool.files),
            ((*findings.host_paths[host.name], "files"), host.files),
        )
        for path, files in layers:
            for file in files:
                below = next((one for one in folders if PurePosixPath(file.path).is_relative_to(one)), None)
                if below is not None and (path, file.path) not in said:
                    said.add((path, file.path))
                    what = (
                        f"{file.path} lies below {below}, where {host.name} mounts a data disk: it would be written "
                        "first, and a folder that holds something is not mounted over"
                    )
                    findings.fault(path, what, "use a path outside of the mount")


def _of_pool(spec: ClusterSpec, host: Host) -> list[DiskSpec]:
    return spec.pools[host.pool.name].disks


def _one_list(
    before: list[DiskSpec], written: list[DiskSpec], path: Path, pool: Pool, cluster: Cluster, findings: Findings
) -> None:
    """Check one list against itself and against the list of the pool, `before`, which was checked by itself."""
    others = list(before)
    for index, disk in enumerate(written):
        at = (*path, index)
        _mount(disk, at, findings)
        _holds(disk, at, pool, cluster, findings)
        for other in others:
            _pair(disk, other, at, cluster, findings)
        others.append(disk)


def _mount(disk: DiskSpec, at: Path, findings: Findings) -> None:
    mount = PurePosixPath(disk.mount)
    if any(mount.is_relative_to(folder) for folder in _SYSTEM) or disk.mount in _FULL:
        what = f"{disk.mount} is a folder of the system, whose content a mount would hide"
        findings.fault((*at, "mount"), what, "use a folder of its own, such as /data or /srv/data")


def _holds(disk: DiskSpec, at: Path, pool: Pool, cluster: Cluster, findings: Findings) -> None:
    mount = PurePosixPath(disk.mount)
    for held in dict.fromkeys(disk.holds):
        path: Path = (*at, "holds")
        if disk.holds.count(held) > 1:
            findings.fault(path, f"names {held} twice", "keep one")
        folder = cluster.directories.of(held)
        if folder is None:
            findings.fault(path, f"names {held}, which has no folder", "set directories.etcdWal")
        elif PurePosixPath(folder).is_relative_to(mount) or mount.is_relative_to(folder):
            what = f"names {held}, but its folder {folder} (directories) and the mount {disk.mount} lie in one another"
            todo = f"take {held} out of holds: a folder below the mount lies on the disk anyway"
            findings.fault(path, what, todo)
        if not pool.roles & set(_NEEDS[held]):
            what = f"names {held}, but hosts of pool {pool.name} have no role that runs it"
            findings.warn(path, what, "take it out, or give the pool the role")
    ours = [folder for _, folder in _folders(cluster) if PurePosixPath(folder).is_relative_to(mount)]
    if not disk.holds and not ours and pool.roles & {"etcd"} and not pool.is_node:
        what = f"{disk.mount} holds nothing of ours: no holds, and no folder of directories lies below it"
        findings.warn((*at, "mount"), what, f"say holds: [etcd], or set directories.etcdData: {disk.mount}/etcd")


def _folders(cluster: Cluster) -> Iterator[tuple[str, str]]:
    for held in get_args(Held):
        folder = cluster.directories.of(held)
        if folder is not None:
            yield held, folder


def _pair(disk: DiskSpec, other: DiskSpec, at: Path, cluster: Cluster, findings: Findings) -> None:
    if disk.device == other.device:
        what = f"{disk.device} is named twice: it is mounted on {other.mount} already"
        findings.fault((*at, "device"), what, "name each disk once, for its pool or for the host")
    mine, theirs = PurePosixPath(disk.mount), PurePosixPath(other.mount)
    if mine == theirs:
        findings.fault((*at, "mount"), f"{disk.mount} is the mount of {other.device} already", "use another folder")
    elif mine.is_relative_to(theirs) or theirs.is_relative_to(mine):
        what = f"{disk.mount} and {other.mount} lie in one another"
        findings.fault((*at, "mount"), what, "let them be apart, so that one disk can be missing without the other")
    for held in sorted(set(disk.holds) & set(other.holds)):
        what = f"names {held}, which {other.mount} holds already"
        findings.fault((*at, "holds"), what, "let one disk hold it")
    for one, two in ((disk, other), (other, disk)):
        for held in one.holds:
            folder = cluster.directories.of(held)
            if folder is not None and PurePosixPath(two.mount).is_relative_to(folder):
                what = f"{two.mount} lies in {folder}, which {one.mount} holds"
                findings.fault((*at, "mount"), what, "use a folder outside")
