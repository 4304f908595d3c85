"""Data disks: made ready while they are empty, mounted by units of ours, with folders of ours on them as bind mounts.

For each disk there are: a service that prepares it, the mount, and where it holds something a service that makes the
folders on it and one bind mount for each. Units follow each other by order and by a mark that the one before leaves
(AssertPathExists=), never by Requires=: a service that is started anew must not unmount what runs on the disk.
Whatever is not there is not mounted over: RequiresMountsFor= of etcd, containerd and kubelet keeps them from starting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, ClassVar

from generator.components.items import HostFile, HostItem, HostPackage, HostUnit
from generator.components.settings import Settings, resolved
from generator.components.view import View
from generator.formats.units import escaped_path, exec_line, unit_text
from generator.spec.layout import PROGRAM_DIR, SYSTEMD_DIR
from generator.spec.model import Cluster, Pool
from generator.spec.sections import Directories, Disk

NAME = "data-disk"
PHASE = "host-base"
SCRIPT = f"{PROGRAM_DIR}/data-disk"
MARKS = "/run/slipway-disks"

_PACKAGES = {"xfs": "xfsprogs", "ext4": "e2fsprogs"}
# Project quotas are what the kubelet and container runtimes can bound a pod's writes with; they exist at mount only.
_OPTIONS = {"xfs": "noatime,pquota", "ext4": "noatime"}

# As fstab's nofail: a disk that is missing keeps what needs it from starting, and the host from nothing else.
_MOUNT: Mapping[str, Any] = {
    "DefaultDependencies": False,
    "Conflicts": "umount.target",
    "Before": "umount.target",
}


@dataclass(frozen=True, slots=True)
class DataDisk:
    """The disks that a pool or host names; a disk is never wiped, and never unmounted by an apply."""

    name: str = NAME

    NOTES: ClassVar[tuple[str, ...]] = (
        "a file system is made on an empty disk only; its label follows from the mount point",
        "a disk that leaves the spec stays mounted, and the apply says what to do first",
    )

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether the pool or a host of it names disks."""
        return bool(pool.disks) or any(host.own_disks for host in cluster.hosts if host.pool.name == pool.name)

    def settings(self, view: View) -> Settings:
        """Return nothing of its own: the field `disks` of pools and hosts says it all."""
        return resolved(view.overrides(NAME))

    def shared(self, view: View) -> Iterator[HostItem]:
        """Yield the program that prepares disks."""
        text = (resources.files("generator.components") / "data-disk.sh").read_text(encoding="utf-8")
        yield HostFile(SCRIPT, text, NAME, PHASE, mode=0o755)

    def pool(self, view: View) -> Iterator[HostItem]:
        """Yield what every host of the pool has."""
        assert view.pool is not None
        yield from _items(view.pool.disks, view.cluster.directories)

    def host(self, view: View) -> Iterator[HostItem]:
        """Yield the disks that one host has beside its pool."""
        assert view.host is not None
        yield from _items(view.host.own_disks, view.cluster.directories)


def prepare_unit(disk: Disk) -> str:
    """Return the name of the service that makes a disk ready."""
    return f"slipway-disk-{escaped_path(disk.mount)}.service"


def folders_unit(disk: Disk) -> str:
    """Return the name of the service that makes the folders on a disk."""
    return f"slipway-disk-{escaped_path(disk.mount)}-folders.service"


def mount_unit(path: str) -> str:
    """Return the name that systemd demands of the unit that mounts at a path."""
    return f"{escaped_path(path)}.mount"


def _items(disks: Iterable[Disk], directories: Directories) -> Iterator[HostItem]:
    packages = set()
    for disk in disks:
        packages.add(_PACKAGES[disk.file_system])
        for name, unit in _units(disk, directories).items():
            # A reload of a service runs its program again, one of a mount sets its options; nothing is unmounted.
            yield HostFile(f"{SYSTEMD_DIR}/{name}", unit_text(unit), NAME, PHASE, reloads=(name,))
            yield HostUnit(name, NAME, PHASE)
    for package in sorted(packages):
        yield HostPackage(package, NAME)


def _units(disk: Disk, directories: Directories) -> dict[str, Mapping[str, Mapping[str, Any]]]:
    prepare = ["prepare", disk.device, disk.file_system, disk.mount, disk.label]
    units: dict[str, Mapping[str, Mapping[str, Any]]] = {
        prepare_unit(disk): _service(f"The data disk of {disk.mount} is ready", prepare, {}, [disk.mount]),
        mount_unit(disk.mount): _mount(
            f"The data disk of {disk.mount}",
            {"What": disk.device, "Where": disk.mount, "Type": disk.file_system, "Options": _OPTIONS[disk.file_system]},
            after=prepare_unit(disk),
            mark=f"{MARKS}/{disk.label}",
        ),
    }
    held = [(one, folder) for one in disk.holds if (folder := directories.of(one)) is not None]
    if held:
        words = ["folders", disk.mount, disk.label, *(f"{one}={folder}" for one, folder in held)]
        needs = {"RequiresMountsFor": disk.mount}
        units[folders_unit(disk)] = _service(
            f"Folders on the data disk of {disk.mount}", words, needs, [folder for _, folder in held]
        )
    for one, folder in held:
        units[mount_unit(folder)] = _mount(
            f"{folder} on the data disk of {disk.mount}",
            {"What": disk.folder(one), "Where": folder, "Type": "none", "Options": "bind"},
            after=folders_unit(disk),
            mark=f"{MARKS}/{disk.label}-folders",
            # The kubelet's unit names its own root alone, and logs must not land below the mount either.
            users=("kubelet.service",) if one == "pod-logs" else (),
        )
    return units


def _service(
    description: str, words: list[str], needs: Mapping[str, Any], before: list[str]
) -> Mapping[str, Mapping[str, Any]]:
    command = exec_line("/bin/sh", [SCRIPT, *words])
    return {
        "Unit": {
            "Description": description,
            "Documentation": "man:systemd.mount(5)",
            **needs,
            "Before": " ".join(mount_unit(path) for path in before),
        },
        "Service": {
            "Type": "oneshot",
            "RemainAfterExit": True,
            "WorkingDirectory": "/",
            "ExecStart": command,
            "ExecReload": command,
            # A large disk takes its time, and a kill in the middle leaves one that is neither empty nor ours.
            "TimeoutStartSec": "infinity",
            "NoNewPrivileges": True,
            "ProtectHostname": True,
            "ProtectClock": True,
            "ProtectKernelTunables": True,
            "ProtectKernelLogs": True,
            "ProtectControlGroups": True,
            "PrivateNetwork": True,
            "RestrictNamespaces": True,
            "RestrictRealtime": True,
            "LockPersonality": True,
            "MemoryDenyWriteExecute": True,
            "SystemCallArchitectures": "native",
        },
        "Install": {"WantedBy": "multi-user.target"},
    }


def _mount(
    description: str, section: Mapping[str, str], *, after: str, mark: str, users: tuple[str, ...] = ()
) -> Mapping[str, Mapping[str, Any]]:
    before = {"Before": " ".join([str(_MOUNT["Before"]), *users])}
    installed = {"RequiredBy": " ".join(users)} if users else {}
    return {
        "Unit": {
            "Description": description,
            "Documentation": "man:systemd.mount(5)",
            **_MOUNT,
            **before,
            "Wants": after,
            "After": f"local-fs-pre.target {after}",
            "AssertPathExists": mark,
        },
        "Mount": section,
        "Install": {"WantedBy": "multi-user.target", **installed},
    }


COMPONENT = DataDisk()
