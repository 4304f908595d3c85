"""The backup of etcd on lab hosts: by timer and by CronJob, encrypted, seen by status, and restored from."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cluster_under_test import LabCluster, until

pytestmark = pytest.mark.lab

TARGET = "/srv/backup"
NAMESPACE = "etcd-backup"
SCRIPT = "/usr/local/lib/slipway/etcd-backup"
ETCDCTL = (
    "ETCDCTL_API=3 /usr/local/bin/etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/etcd/pki/ca.crt"
    " --cert=/etc/etcd/pki/healthcheck-client.crt --key=/etc/etcd/pki/healthcheck-client.key"
)
LIBRARIES = ("/lib/x86_64-linux-gnu", "/lib64", "/usr/bin/flock")
"""What Debian's etcdctl and age are linked with, and what its busybox has not; official releases need neither."""
PATCH = """\
{
  values+:: { etcdBackup+: { image: 'slipway.lab/busybox:1' } },
  '70-etcd-backup'+: {
    cronJob+: { spec+: { jobTemplate+: { spec+: { template+: { spec+: {
      volumes+: [{ name: 'lab-%%d' %% n, hostPath: { path: libraries[n] } } for n in std.range(0, 2)],
      containers: [super.containers[0] {
        imagePullPolicy: 'Never',
        env+: [{ name: 'PATH', value: '/bin:/usr/bin' }],
        command: ['/bin/busybox', 'sh', '%s'],
        volumeMounts+: [
          { name: 'lab-%%d' %% n, mountPath: libraries[n], readOnly: true } for n in std.range(0, 2)
        ],
      }],
    } } } } } },
  },
}
"""


def patch_of_lab() -> str:
    """addons.jsonnet: the lab's image, and the host's libraries in the pod."""
    return f"local libraries = {json.dumps(LIBRARIES)};\n" + PATCH % SCRIPT


def keys(lab: LabCluster, host: str) -> dict[str, tuple[str, int, int]]:
    """What etcd holds of the test's own, as one member reads it: value and both revisions of each key."""
    text = lab.sh(host, f"{ETCDCTL} get /slipway-backup/ --prefix -w json | base64 -w0")
    found: dict[str, Any] = json.loads(base64.b64decode(text))
    return {one["key"]: (one["value"], one["create_revision"], one["mod_revision"]) for one in found.get("kvs", [])}


def backed_up(lab: LabCluster, by: str) -> None:
    """Bring a way of backing up into the cluster, with the operator's own key as recipient."""
    recipients = [
        line for line in (lab.inputs / "recipients.txt").read_text().splitlines() if line and not line.startswith("#")
    ]
    lab.edit_spec(
        lambda spec: spec.setdefault("addons", {}).update(
            etcdBackup={
                "enabled": True, "by": by, "retention": 2, "recipients": recipients,
                "target": {"hostPath": TARGET},
            }
        )
    )  # fmt: skip
    (lab.inputs / "addons.jsonnet").write_text(patch_of_lab() if by == "cronjob" else "{}\n")
    for words in (("certs.issue",), ("lock", "--source", str(lab.artifacts)), ("render",)):
        done = lab.invoke(*words)
        assert done.returncode == 0, done.stdout + done.stderr
    lab.commit(f"backups by {by}")
    done = lab.invoke("apply", "--yes", "--source", str(lab.artifacts))
    assert done.returncode == 0, done.stdout + done.stderr


def last_good(lab: LabCluster, host: str) -> list[str]:
    return lab.try_sh(host, "cat /var/lib/slipway/etcd-backup/last-good").stdout.split()


def ended(lab: LabCluster) -> str:
    """How the job has ended, "" while it has not."""
    conditions = lab.kubectl_json("get", "job", "-n", NAMESPACE, "by-hand")["status"].get("conditions") or ()
    return next((str(one["type"]) for one in conditions if one["status"] == "True"), "")


@pytest.fixture(scope="module")
def kept(lab: LabCluster) -> Iterator[LabCluster]:
    """The cluster, with keys of the test's own in etcd."""
    before = (lab.inputs / "cluster.yaml").read_text()
    own = lab.inputs / "addons.jsonnet"
    addons = own.read_text() if own.exists() else None
    for number in range(20):
        lab.sh(lab.control[0], f"{ETCDCTL} put /slipway-backup/{number} first >/dev/null")
    lab.sh(lab.control[0], f"{ETCDCTL} put /slipway-backup/3 second >/dev/null")
    yield lab
    lab.sh(lab.control[0], f"{ETCDCTL} del /slipway-backup/ --prefix >/dev/null")
    (lab.inputs / "cluster.yaml").write_text(before)
    if addons is None:
        own.unlink(missing_ok=True)
    else:
        own.write_text(addons)
    assert lab.invoke("render").returncode == 0
    lab.commit("without backups")
    assert lab.invoke("apply", "--yes").returncode == 0


def test_a_timer_makes_one_on_every_member(kept: LabCluster) -> None:
    backed_up(kept, "timer")
    host = kept.control[0]
    assert "etcd-backup.timer" in kept.sh(host, "systemctl list-timers --no-legend etcd-backup.timer")
    kept.sh(host, "systemctl start etcd-backup.service")
    name = last_good(kept, host)[4]
    assert name.endswith(".db.age")
    assert kept.sh(host, f"head -c 22 {TARGET}/{name}").strip() == "age-encryption.org/v1"
    assert json.loads(kept.sh(host, f"cat {TARGET}/{name.removesuffix('.db.age')}.json"))["cluster"] == kept.name
    status = json.loads(kept.invoke("status", "--json").stdout)
    assert status["backup"]["lastGood"]["name"] == name and status["backup"]["failures"] == {}


def test_an_old_one_is_a_finding(kept: LabCluster) -> None:
    host, path = kept.control[0], "/var/lib/slipway/etcd-backup/last-good"
    kept.sh(host, f"cp {path} {path}.kept && sed -i 's/^[0-9T]*Z/20200101T000000Z/' {path}")
    others = [name for name in kept.control if name != host]
    for name in others:
        kept.sh(name, f"rm -f {path}")
    try:
        found = json.loads(kept.invoke("status", "--json").stdout)["findings"]
        assert [one["text"] for one in found if one["kind"] == "backup"] == [
            "the last good snapshot of etcd is older than two schedules"
        ]
    finally:
        kept.sh(host, f"mv {path}.kept {path}")


def test_the_pod_of_the_cronjob_makes_one(kept: LabCluster) -> None:
    for host in kept.control:
        kept.sh(host, "rm -f /var/lib/slipway/etcd-backup/last-good")
    backed_up(kept, "cronjob")
    assert kept.try_sh(kept.control[0], "systemctl cat etcd-backup.timer").returncode != 0, "the timer has gone"
    kept.kubectl("create", "job", "-n", NAMESPACE, "--from=cronjob/etcd-backup", "by-hand")
    try:
        until(lambda: ended(kept), 180)
        pods = kept.kubectl("describe", "pods", "-n", NAMESPACE)
        assert ended(kept) == "Complete", pods + kept.kubectl("logs", "-n", NAMESPACE, "--tail=40", "job/by-hand")
        made = [host for host in kept.control if last_good(kept, host)]
        assert len(made) == 1
        log = kept.kubectl("logs", "-n", NAMESPACE, "job/by-hand")
        assert last_good(kept, made[0])[4] in log
        for kind in ("secrets", "roles"):
            found = kept.kubectl_json("get", kind, "-n", NAMESPACE)["items"]
            assert not [one for one in found if one.get("type") != "kubernetes.io/service-account-token"], kind
    finally:
        kept.kubectl("delete", "job", "-n", NAMESPACE, "by-hand", "--wait=false")


def test_a_restore_gives_three_new_members_the_same_keys_and_revisions(kept: LabCluster, tmp_path: Path) -> None:
    host = next(name for name in kept.control if last_good(kept, name))
    name = last_good(kept, host)[4]
    for one in (name, f"{name.removesuffix('.db.age')}.json"):
        (tmp_path / one).write_bytes(base64.b64decode(kept.sh(host, f"base64 -w0 {TARGET}/{one}")))
    before = keys(kept, host)
    old_id = kept.sh(host, f"{ETCDCTL} endpoint status -w json")
    kept.sh(host, f"{ETCDCTL} put /slipway-backup/later lost >/dev/null")
    words = ("restore", "--snapshot", str(tmp_path / name))
    planned = kept.invoke(*words, "--dry-run")
    assert planned.returncode == 2, planned.stderr
    assert f"made of {kept.name}" in planned.stdout and "/slipway-backup/later" not in json.dumps(before)
    done = kept.invoke(*words, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    for member in kept.control:
        assert keys(kept, member) == before, member
        assert kept.sh(member, "ls -d /var/lib/etcd/.before-restore-*/member").strip()
        assert kept.sh(member, "stat -c %U:%a /var/lib/etcd/member").strip() == "etcd:700"

    def cluster_id(text: str) -> int:
        return int(json.loads(text)[0]["Status"]["header"]["cluster_id"])

    assert cluster_id(kept.sh(host, f"{ETCDCTL} endpoint status -w json")) != cluster_id(old_id)
    until(lambda: kept.all_ready(), 240)
    kept.kubectl("create", "configmap", "after-the-restore")
    kept.kubectl("delete", "configmap", "after-the-restore")
    status = json.loads(kept.invoke("status", "--json").stdout)
    assert not [one for one in status["findings"] if one["severity"] == "finding" and one["kind"] == "etcd"]
    for member in kept.control:
        kept.sh(member, "rm -rf /var/lib/etcd/.before-restore-*")
