"""What hosts get that make backups of etcd, by CronJob or by timer, and when the moments of a schedule are."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest

from generator.components.etcd_backup import COMPONENT, SCRIPT
from generator.components.items import HostFile, SecretRef
from generator.components.oneshot import script_text
from generator.spec import load_text
from generator.spec.model import Cluster
from generator.spec.schedule import schedule
from tests.components.clusters import all_of, cluster, of_pool, text

AGE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
CLAIM = "pvc: {size: 5Gi}"
NFS = "nfs: {server: nfs.example.net, path: /srv/etcd, mountOptions: [nfsvers=4.1]}"
S3 = "s3: {endpoint: 'https://s3.example.net', bucket: backups}"
FOLDER = "hostPath: /var/backups/etcd"


def backed_up(target: str = CLAIM, more: str = "", kubernetes: str = "1.36.1", recipients: bool = True) -> Cluster:
    known = f"recipients: [{AGE}], " if recipients else ""
    return cluster(
        kubernetes,
        more=f"addons: {{etcdBackup: {{enabled: true, {known}{more}{', ' if more else ''}target: {{{target}}}}}}}",
    )


def dedicated(target: str, more: str = "by: null") -> Cluster:
    """Members of etcd on hosts of their own."""
    return load_text(
        f"""\
apiVersion: slipway.io/v1
kind: Cluster
metadata: {{name: demo}}
versions: {{kubernetes: "1.36.1"}}
pools:
  store: {{roles: [etcd], os: rocky-9, arch: arm64}}
  control: {{roles: [control-plane], os: debian-12}}
hosts:
  e[1:3]: {{pool: store, address: "10.0.3.[1:3]"}}
  cp[1:3]: {{pool: control, address: "10.0.0.[1:3]"}}
addons: {{etcdBackup: {{enabled: true, {more}, recipients: [{AGE}], target: {{{target}}}}}}}
"""
    )


def settings(found: dict[str, Any]) -> dict[str, str]:
    lines = text(found, "/etc/etcd-backup/settings").splitlines()
    return {name: value for name, _, value in (line.partition(" ") for line in lines)}


def test_a_cronjob_has_what_it_needs_on_control_plane_hosts_alone() -> None:
    found = backed_up()
    assert COMPONENT.runs_on(found, found.pools["control"]) and not COMPONENT.runs_on(found, found.pools["workers"])
    items = all_of(COMPONENT, found, "cp1")
    key = items["/etc/etcd-backup/backup.key"]
    assert isinstance(key, HostFile) and isinstance(key.content, SecretRef)
    assert (oct(key.mode), key.owner, key.content.name) == ("0o400", "root", "pki/hosts/cp1/etcd/backup")
    assert not any(path.startswith("/etc/systemd") for path in items), "nothing here starts it"
    assert "/opt/age/1.2.1/age" in items and "/opt/etcd/3.6.11/etcdctl" not in items, "members have etcdctl anyhow"
    said = settings(items)
    assert said["target"] == "folder" and said["folder"] == "/backup" and "fresh" not in said
    assert said["snapshots"] == "/opt/etcd/3.6.11/etcdutl" and said["period"] == "86400"
    assert text(items, "/etc/etcd-backup/host") == "own https://10.0.0.1:2379\n"
    assert text(items, SCRIPT) == script_text("etcd-backup.sh")


def test_the_kubelet_of_a_cronjob_can_mount_its_folder() -> None:
    assert "package:nfs-common" in all_of(COMPONENT, backed_up(NFS), "cp1")
    assert not any(
        key.startswith("package:") for target in (CLAIM, S3) for key in all_of(COMPONENT, backed_up(target), "cp1")
    )


def test_nothing_is_anywhere_unless_it_is_asked_for() -> None:
    found = cluster()
    assert not any(COMPONENT.runs_on(found, pool) for pool in found.pools.values())


def test_hosts_of_etcd_alone_have_a_timer_and_take_turns() -> None:
    found = dedicated(NFS)
    assert COMPONENT.runs_on(found, found.pools["store"]) and not COMPONENT.runs_on(found, found.pools["control"])
    first, third = all_of(COMPONENT, found, "e1"), all_of(COMPONENT, found, "e3")
    assert text(first, "/etc/etcd-backup/host") == "own https://10.0.3.1:2379\n"
    assert text(third, "/etc/etcd-backup/host") == "own https://10.0.3.3:2379\ndelay 1200\n"
    assert settings(first)["fresh"] == "43200" and settings(first)["folder"] == "/run/etcdbackup"
    assert "OnCalendar=*-*-* 01:10:00 UTC\n" in text(first, "/etc/systemd/system/etcd-backup.timer")
    mount = text(first, "/etc/systemd/system/run-etcdbackup.mount")
    assert "Options=soft,timeo=100,retrans=3,nosuid,nodev,noexec,nfsvers=4.1\n" in mount
    assert "package:nfs-utils" in first and "package:nfs-common" not in first
    service = text(first, "/etc/systemd/system/etcd-backup.service")
    assert "Requires=run-etcdbackup.mount\n" in service and "CapabilityBoundingSet=\n" in service


def test_a_cronjob_beside_members_on_other_hosts_brings_the_tools() -> None:
    found = dedicated(CLAIM, more="by: cronjob")
    control = of_pool(COMPONENT, found, "control")
    assert {"/opt/etcd/3.6.11/etcdctl", "/opt/etcd/3.6.11/etcdutl", "/opt/age/1.2.1/age"} == set(control)
    assert not COMPONENT.runs_on(found, found.pools["store"])


def test_every_host_keeps_its_own_folder() -> None:
    found = backed_up(FOLDER, "by: timer")
    items = all_of(COMPONENT, found, "cp2")
    said = settings(items)
    assert said["folder"] == "/var/backups/etcd" and "fresh" not in said
    assert text(items, "/etc/etcd-backup/host") == "own https://10.0.0.2:2379\n", "nobody waits for anybody"
    assert "/var/backups/etcd" in items
    assert "a copy on the host that it backs up" in "\n".join(found.warnings)


def test_a_bucket_has_its_keys_on_the_host_and_no_secret_in_the_cluster() -> None:
    found = backed_up(S3, "by: timer")
    items = all_of(COMPONENT, found, "cp1")
    keys = items["/etc/etcd-backup/s3"]
    assert isinstance(keys, HostFile) and keys.mode == 0o400
    assert keys.content == SecretRef("addons/etcd-backup-s3") and "package:curl" in items
    assert settings(items)["s3-region"] == "us-east-1" and settings(items)["s3-prefix"] == ""


def test_without_recipients_there_is_no_age_and_a_warning() -> None:
    found = backed_up(recipients=False)
    items = all_of(COMPONENT, found, "cp1")
    assert not any("age" in path.split("/") for path in items) and "age" not in settings(items)
    assert "snapshots are not encrypted" in "\n".join(found.warnings)


def test_etcd_before_3_5_reads_snapshots_with_etcdctl() -> None:
    assert settings(all_of(COMPONENT, backed_up(kubernetes="1.20.15"), "cp1"))["snapshots"].endswith("/etcdctl")


@pytest.mark.parametrize(
    ("fields", "calendars", "gaps"),
    [
        ("10 1 * * *", ["*-*-* 01:10:00 UTC"], (86400, 86400)),
        ("*/30 * * * *", ["*-*-* *:00,30:00 UTC"], (1800, 1800)),
        ("0 3 * * 1-5", ["Mon,Tue,Wed,Thu,Fri *-*-* 03:00:00 UTC"], (86400, 3 * 86400)),
        ("0 3 * * 7", ["Sun *-*-* 03:00:00 UTC"], (7 * 86400, 7 * 86400)),
        ("0 0 1 */3 *", ["*-01,04,07,10-01 00:00:00 UTC"], (90 * 86400, 92 * 86400)),
        ("5 0 1 * sun", ["*-*-01 00:05:00 UTC", "Sun *-*-* 00:05:00 UTC"], (86400, 7 * 86400)),
        ("0 9-17/4 * * *", ["*-*-* 09,13,17:00:00 UTC"], (4 * 3600, 16 * 3600)),
    ],
)
def test_moments_of_a_schedule(fields: str, calendars: list[str], gaps: tuple[int, int]) -> None:
    found = schedule(fields)
    assert (list(found.calendars()), found.gaps) == (calendars, gaps)


@pytest.mark.tools
@pytest.mark.parametrize("fields", ["10 1 * * *", "*/7 3,4 1-15/2 jan,jul *", "0 0 13 * fri", "59 23 29 2 *"])
def test_systemd_reads_the_calendars(fields: str) -> None:
    judge = shutil.which("systemd-analyze")
    if judge is None:
        pytest.skip("systemd-analyze is not installed")
    subprocess.run([judge, "calendar", *schedule(fields).calendars()], check=True, capture_output=True)


@pytest.mark.parametrize(
    "fields", ["", "* * * *", "60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 * 13 *", "0 0 30 2 *", "0 0 L * *",
               "0 0 * * 1#2", "0 0 ? * *", "5-1 * * * *", "*/0 * * * *", "*-5 * * * *", "1,,2 * * * *"],
)  # fmt: skip
def test_what_is_no_schedule(fields: str) -> None:
    with pytest.raises(ValueError, match=r"fields|not within|no number|never comes|both know|no range"):
        schedule(fields)
