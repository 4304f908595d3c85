"""The backup of etcd: when it is made, by whom, where it goes, and how many are kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from generator.sealing.recipients import parse_recipient
from generator.spec.addons.base import AddonSection
from generator.spec.addons.folders import check_folder
from generator.spec.addons.storage import ClaimSpec, NfsVolume, VolumeSize, check_claim, check_server, is_local
from generator.spec.scalars import AbsolutePath, RelativePath, complaint, matching
from generator.spec.scalars_network import Url
from generator.spec.schedule import schedule
from generator.spec.schema_base import Section
from generator.spec.yaml_source import Path

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster

PATH: Path = ("addons", "etcdBackup")
S3_SECRET = "addons/etcd-backup-s3"
MOUNT_OPTIONS = ("soft", "timeo=100", "retrans=3", "nosuid", "nodev", "noexec")
"""A server that is away gives an error after half a minute, in place of a process that nothing can end."""
MOST = 400
"""How many snapshots may be kept: with their descriptions they fit in one answer of an S3 store, a thousand names."""

_LOST_WITH_ITS_HOST = (
    "a copy on the host that it backs up is lost together with it",
    "use nfs, s3 or a volume elsewhere, or copy it away",
)


def _schedule(text: str) -> str:
    try:
        schedule(text)
    except ValueError as error:
        todo = 'write five fields that CronJobs and systemd timers both know, like "10 1 * * *"'
        raise complaint(f"{text!r} {error}", todo) from None
    return " ".join(text.split())


def recipient(text: str) -> str:
    """Return a recipient that the program age takes by itself; raises ValueError for others."""
    line = text.strip()
    parse_recipient(line)
    if not line.startswith("ssh-") and not re.fullmatch("age1[02-9ac-hj-np-z]{58}", line.split()[0]):
        raise ValueError("age on the hosts has no plugins; write an age1… key of age-keygen or an ssh key")
    return line


def _recipient(text: str) -> str:
    try:
        return recipient(text)
    except (ValueError, IndexError) as error:
        raise complaint(f"{text!r} is no recipient: {error}", "write the public key of whoever may restore") from None


def _store(text: str) -> str:
    if text.count("/") == 2:
        return text
    raise complaint(f"{text!r} has a path", "write scheme and host alone; bucket and prefix have fields of their own")


_bucket = matching(
    re.compile("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
    "is no name of a bucket", "write lower-case letters, digits, dots and hyphens",
)  # fmt: skip
_prefix = matching(
    re.compile("([A-Za-z0-9._-]+/)*"), "is no prefix of keys", "write folders that end with a slash, like prod/etcd/"
)
_region = matching(re.compile("[a-z0-9-]{1,40}"), "is no region", "write it as the store does, like eu-central-1")


class BackupClaim(ClaimSpec):
    """A volume of the cluster: a new claim, or one that is there."""

    size: VolumeSize = Field("20Gi", description="Size, in Mi, Gi or Ti.")


class BackupS3(Section):
    """A bucket of an S3-compatible store; its keys are sealed as addons/etcd-backup-s3."""

    endpoint: Annotated[Url, AfterValidator(_store)] = Field(
        examples=["https://s3.example.net"], description="URL of the store, without a path."
    )
    bucket: Annotated[str, AfterValidator(_bucket)] = Field(examples=["backups"], description="Bucket.")
    prefix: Annotated[str, AfterValidator(_prefix)] = Field("", description="What keys begin with, like prod/etcd/.")
    region: Annotated[str, AfterValidator(_region)] = Field(
        "us-east-1", description="Region that requests are signed for."
    )
    ca_file: RelativePath | None = Field(None, description="CA certificate of the store, relative to cluster.yaml.")


class BackupTarget(Section):
    """Where snapshots go: exactly one of these."""

    pvc: BackupClaim | None = Field(None, description="A volume of the cluster; for a CronJob.")
    nfs: NfsVolume | None = Field(
        None, description=f"A folder of an NFS server; mount options stand behind {','.join(MOUNT_OPTIONS)}."
    )
    s3: BackupS3 | None = Field(None, description="A bucket of an S3-compatible store.")
    host_path: AbsolutePath | None = Field(None, description="A folder on the host itself: it is lost with the host.")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The targets that are named."""
        named = {"pvc": self.pvc, "nfs": self.nfs, "s3": self.s3, "hostPath": self.host_path}
        return tuple(kind for kind, value in named.items() if value is not None)


class EtcdBackupSection(AddonSection):
    """Snapshots of etcd that are verified before they count (docs/etcd-backup.md)."""

    enabled: bool = Field(False, description="Whether snapshots are made.")
    by: Literal["cronjob", "timer"] | None = Field(
        None,
        description="Who makes them: a timer of the etcd hosts where these are no nodes, else a CronJob, unless said.",
    )
    schedule: Annotated[str, AfterValidator(_schedule)] = Field(
        "10 1 * * *",
        description="When, as five cron fields in UTC; for a CronJob below 1.25 in the hosts' time.",
    )
    retention: int = Field(30, ge=1, le=MOST, description="How many are kept; the newest always is.")
    target: BackupTarget = Field(BackupTarget(), description="Where they go.")
    recipients: list[Annotated[str, AfterValidator(_recipient)]] = Field(
        [], description="Public keys of age or ssh for which they are encrypted; whoever has a private one can restore."
    )
    recipients_file: RelativePath | None = Field(
        None, description="File with further recipients, one a line, relative to cluster.yaml."
    )


def runs_by(cluster: Cluster) -> str:
    """Return who makes snapshots: "cronjob" or "timer"."""
    if cluster.addons.etcd_backup.by is not None:
        return cluster.addons.etcd_backup.by
    # Hosts of etcd alone have no kubelet: there is no pod that could be theirs.
    dedicated = not any(host.pool.is_node for host in cluster.etcd_hosts)
    return "timer" if dedicated else "cronjob"


def runs_on(cluster: Cluster, roles: frozenset[str]) -> bool:
    """Return whether hosts of these roles have what a backup needs."""
    role = "etcd" if runs_by(cluster) == "timer" else "control-plane"
    return cluster.addons.etcd_backup.enabled and role in roles


def check_etcd_backup(cluster: Cluster, findings: Findings) -> None:
    """Check that there is one target, that it suits who runs, and say what is risky about it."""
    section = cluster.addons.etcd_backup
    if not section.enabled:
        return
    target, path = section.target, (*PATH, "target")
    kinds = target.kinds
    if len(kinds) != 1:
        what = f"names {' and '.join(kinds)}" if kinds else "names no place where snapshots go"
        findings.fault(path, what, "name exactly one of pvc, nfs, s3 and hostPath")
        return
    by = runs_by(cluster)
    if by == "timer" and target.pvc is not None:
        findings.fault(
            (*path, "pvc"), "a timer on etcd hosts cannot mount a volume of the cluster",
            "use nfs, s3 or hostPath, or write by: cronjob",
        )  # fmt: skip
    elif target.pvc is not None:
        check_claim(cluster, findings, (*path, "pvc"), target.pvc)
        if is_local(cluster, target.pvc):
            findings.warn((*path, "pvc"), *_LOST_WITH_ITS_HOST)
    if target.host_path is not None and check_folder(cluster, findings, (*path, "hostPath"), target.host_path):
        findings.warn((*path, "hostPath"), *_LOST_WITH_ITS_HOST)
    if by == "cronjob" and cluster.versions.minor < (1, 25):
        what = "is read in the time zone of control-plane hosts: CronJobs know none below Kubernetes 1.25"
        findings.warn((*PATH, "schedule"), what, "let their clocks be UTC, or write it in their time")
    plain = target.s3 is not None and target.s3.endpoint.startswith("http://")
    if plain and not cluster.backup.recipients:
        findings.fault(
            (*path, "s3", "endpoint"), "snapshots would cross the network unencrypted", "use https, or name recipients"
        )
    if target.nfs is not None:
        check_server(cluster, findings, (*path, "nfs"), target.nfs)
        if "hard" in target.nfs.mount_options:
            what = "with hard a server that is away holds the backup for ever"
            findings.warn((*path, "nfs", "mountOptions"), what, "leave it out")
    if not cluster.backup.recipients:
        findings.warn(
            PATH, "snapshots are not encrypted, and one holds all that the cluster knows",
            "name recipients, whose private keys stay off the cluster",
        )  # fmt: skip
