"""etcd-backup: snapshots of etcd by a script that the pod of a CronJob or the service of a timer runs.

On the hosts that run it lie the script, its settings, a client certificate of its own, and in their version folders
the tools of etcd and age. A pod gets all of them by hostPath. The key never becomes a Secret: it opens all of etcd.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from generator.components.items import HostBinary, HostDirectory, HostFile, HostItem, HostPackage, HostUnit, SecretRef
from generator.components.leaf import leaf
from generator.components.oneshot import SCRIPTS, script_text
from generator.components.settings import Settings, resolved
from generator.components.timers import service_and_timer
from generator.components.view import View
from generator.formats.sandbox import sandbox
from generator.formats.units import unit_text
from generator.spec.addons.etcd_backup import MOUNT_OPTIONS, S3_SECRET, runs_by, runs_on
from generator.spec.addons.storage import NFS_PACKAGES
from generator.spec.layout import (
    ETCD_BACKUP_DIR,
    ETCD_BACKUP_MOUNT,
    ETCD_BACKUP_STATE,
    SYSTEMD_DIR,
    binary_dir,
)
from generator.spec.model import Cluster, Pool, bracketed
from generator.spec.schedule import schedule
from generator.spec.versions import parts

NAME = "etcd-backup"
SCRIPT = f"{SCRIPTS}/{NAME}"
SERVICE = f"{NAME}.service"
TIMER = f"{NAME}.timer"
MOUNT = f"{ETCD_BACKUP_MOUNT.removeprefix('/')}.mount".replace("/", "-")
POD_FOLDER = "/backup"
"""Where the pod's volume is mounted."""
TURN_SECONDS = 600
"""Hosts that share a target begin so long after each other, so that the later find what the first has made."""


@dataclass(frozen=True, slots=True)
class EtcdBackup:
    """What a backup needs on a host; with a timer also who runs it."""

    name: str = NAME

    def runs_on(self, cluster: Cluster, pool: Pool) -> bool:
        """Return whether hosts of the pool make backups: those of etcd by timer, of the control plane by CronJob."""
        return runs_on(cluster, pool.roles)

    def settings(self, view: View) -> Settings:
        """Return the unit of the service; the section Timer goes into the timer, Install too."""
        return resolved(view.overrides(NAME), unit=_unit(view.cluster) if _by_timer(view.cluster) else {})

    def shared(self, view: View) -> Iterable[HostItem]:
        """Yield script, settings, CA and, for a timer, its units."""
        cluster, phase = view.cluster, _phase(view.cluster)
        yield HostDirectory(ETCD_BACKUP_DIR, NAME, phase)
        yield HostDirectory(ETCD_BACKUP_STATE, NAME, phase, mode=0o700)
        yield HostFile(SCRIPT, script_text(f"{NAME}.sh"), NAME, phase, mode=0o755)
        yield HostFile(f"{ETCD_BACKUP_DIR}/settings", _settings(cluster), NAME, phase)
        yield HostFile(f"{ETCD_BACKUP_DIR}/ca.crt", view.material.certificate("etcd/ca"), NAME, phase)
        backup, target = cluster.backup, cluster.addons.etcd_backup.target
        if backup.recipients:
            lines = "".join(f"{one}\n" for one in backup.recipients)
            yield HostFile(f"{ETCD_BACKUP_DIR}/recipients", lines, NAME, phase)
        if target.s3 is not None:
            yield HostFile(f"{ETCD_BACKUP_DIR}/s3", SecretRef(S3_SECRET), NAME, phase, mode=0o400)
        if backup.ca is not None:
            yield HostFile(f"{ETCD_BACKUP_DIR}/s3-ca.crt", backup.ca, NAME, phase)
        if target.host_path is not None:
            yield HostDirectory(target.host_path, NAME, phase, mode=0o700)
        if _by_timer(cluster):
            yield from _units(view)

    def pool(self, view: View) -> Iterator[HostItem]:
        """Yield the tools for the pool's architecture, and the packages of its distribution."""
        assert view.pool is not None
        cluster, arch, target = view.cluster, view.pool.arch, view.cluster.addons.etcd_backup.target
        if "etcd" not in view.pool.roles:
            # Members have them anyhow.
            version = cluster.versions.etcd
            for program in dict.fromkeys(("etcdctl", _snapshots(version))):
                member = f"etcd-v{version}-linux-{arch}/{program}"
                yield HostBinary(f"{binary_dir('etcd', version)}/{program}", "etcd", version, arch, member, NAME)
        if cluster.backup.recipients:
            version = cluster.versions.age
            yield HostBinary(f"{binary_dir('age', version)}/age", "age", version, arch, "age/age", NAME)
        if target.nfs is not None:
            # For a pod it is the kubelet that mounts, with the same program.
            yield HostPackage(NFS_PACKAGES[view.pool.os_family], NAME)
        if target.s3 is not None and _by_timer(cluster):
            yield HostPackage("curl", NAME)

    def host(self, view: View) -> Iterator[HostItem]:
        """Yield this host's client certificate, its own member, and when it is its turn."""
        assert view.host is not None
        cluster, phase, host = view.cluster, _phase(view.cluster), view.host
        yield from leaf(view, "etcd/backup", f"{ETCD_BACKUP_DIR}/backup", component=NAME, phase=phase, owner="root")
        lines = [f"own https://{bracketed(host.address)}:2379"] if "etcd" in host.pool.roles else []
        if _by_timer(cluster) and _shared_target(cluster):
            turn = [one.name for one in cluster.etcd_hosts].index(host.name)
            lines += [f"delay {turn * TURN_SECONDS}"] if turn else []
        if lines:
            yield HostFile(f"{ETCD_BACKUP_DIR}/host", "".join(f"{line}\n" for line in lines), NAME, phase)


def _by_timer(cluster: Cluster) -> bool:
    return runs_by(cluster) == "timer"


def _phase(cluster: Cluster) -> str:
    return "etcd" if _by_timer(cluster) else "control-plane"


def _shared_target(cluster: Cluster) -> bool:
    return cluster.addons.etcd_backup.target.host_path is None


def _snapshots(version: str) -> str:
    """Return the program that reads snapshots: etcdutl, which etcd has from 3.5 on."""
    return "etcdutl" if parts(version) >= (3, 5) else "etcdctl"


def _settings(cluster: Cluster) -> str:
    section, version, target = cluster.addons.etcd_backup, cluster.versions.etcd, cluster.addons.etcd_backup.target
    shortest, longest = schedule(section.schedule).gaps
    values: dict[str, object] = {
        "cluster": cluster.name,
        "endpoints": " ".join(cluster.etcd_client_urls),
        "etcdctl": f"{binary_dir('etcd', version)}/etcdctl",
        "snapshots": f"{binary_dir('etcd', version)}/{_snapshots(version)}",
        "kubernetes": cluster.versions.kubernetes,
        "state": ETCD_BACKUP_STATE,
        "work": f"{ETCD_BACKUP_STATE}/work",
        "retention": section.retention,
        "period": longest,
    }
    if cluster.backup.recipients:
        values["age"] = f"{binary_dir('age', cluster.versions.age)}/age"
    if target.s3 is not None:
        values |= {
            "target": "s3",
            "s3-endpoint": target.s3.endpoint,
            "s3-bucket": target.s3.bucket,
            "s3-prefix": target.s3.prefix,
            "s3-region": target.s3.region,
        }
    else:
        own = target.host_path if target.host_path is not None else ETCD_BACKUP_MOUNT
        values |= {"target": "folder", "folder": own if _by_timer(cluster) else POD_FOLDER}
    if _by_timer(cluster) and _shared_target(cluster):
        values["fresh"] = shortest // 2
    return "".join(f"{name} {value}\n".replace(" \n", "\n") for name, value in values.items())


def _unit(cluster: Cluster) -> dict[str, dict[str, object]]:
    target = cluster.addons.etcd_backup.target
    writable = [ETCD_BACKUP_STATE]
    unit: dict[str, object] = {
        "Description": "A backup of etcd",
        "Documentation": "https://etcd.io/docs/v3.5/op-guide/recovery/",
        "Wants": "network-online.target",
        "After": "network-online.target etcd.service",
    }
    if target.nfs is not None:
        writable.append(ETCD_BACKUP_MOUNT)
        unit |= {"Requires": MOUNT, "After": f"network-online.target etcd.service {MOUNT}"}
    if target.host_path is not None:
        writable.append(target.host_path)
        unit["RequiresMountsFor"] = target.host_path
    return {
        "Unit": unit,
        "Service": {
            "Type": "oneshot",
            "WorkingDirectory": "/",
            "ExecStart": f"/bin/sh {SCRIPT}",
            # Turns of hosts, and a snapshot of gigabytes to a slow place; the script bounds each of its steps itself.
            "TimeoutStartSec": "4h",
            "TimeoutStopSec": "30s",
            "Nice": 10,
            "IOSchedulingClass": "idle",
            **sandbox(writable=writable),
        },
        "Timer": {
            "OnCalendar": list(schedule(cluster.addons.etcd_backup.schedule).calendars()),
            "AccuracySec": "1s",
            # What a host that was off has missed it makes up for.
            "Persistent": True,
        },
        "Install": {"WantedBy": "timers.target"},
    }


def _units(view: View) -> Iterator[HostItem]:
    cluster, phase = view.cluster, _phase(view.cluster)
    service, timer = service_and_timer(EtcdBackup().settings(view).unit)
    nfs = cluster.addons.etcd_backup.target.nfs
    if nfs is not None:
        mount = {
            "Unit": {"Description": "Where backups of etcd go", "StopWhenUnneeded": True},
            "Mount": {
                "What": f"{bracketed(nfs.server)}:{nfs.path}",
                "Where": ETCD_BACKUP_MOUNT,
                "Type": "nfs",
                "Options": ",".join((*MOUNT_OPTIONS, *nfs.mount_options)),
                "TimeoutSec": "60s",
                # A server that has died must not keep the host from letting go of it.
                "LazyUnmount": True,
                "ForceUnmount": True,
            },
        }
        yield HostFile(f"{SYSTEMD_DIR}/{MOUNT}", unit_text(mount), NAME, phase)
    yield HostFile(f"{SYSTEMD_DIR}/{SERVICE}", unit_text(service), NAME, phase)
    yield HostFile(f"{SYSTEMD_DIR}/{TIMER}", unit_text(timer), NAME, phase, restarts=(TIMER,))
    yield HostUnit(TIMER, NAME, phase)


COMPONENT = EtcdBackup()
