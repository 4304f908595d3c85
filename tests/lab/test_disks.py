"""Data disks on real hosts: loop devices that systemd mounts, one that is empty and one that holds something."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.cluster_under_test import LabCluster
from tests.lab.test_drift import apply
from tests.lab.test_rolling import rendered

pytestmark = pytest.mark.lab

HOST = "w2"
DEVICE = "/dev/disk/by-id/lab-data"
# Hosts of the lab have a /dev of their own, without udev: the nodes and the name are made by hand.
MAKE = f"""
set -e
[ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
truncate -s 320M /var/lib/lab-disk.img
loop=$(losetup --find | tr -dc 0-9)
[ -b /dev/loop$loop ] || mknod /dev/loop$loop b 7 $loop
losetup /dev/loop$loop /var/lib/lab-disk.img
mkdir -p {DEVICE.rpartition("/")[0]}
ln -sfn /dev/loop$loop {DEVICE}
"""
# The way that the message tells. Also of a mount that is not there a stop would end the kubelet, which requires it.
UNMOUNT = r"""
set -e
if mountpoint -q /lab-data; then systemctl stop kubelet; fi
systemctl disable var-log-pods.mount 'lab\x2ddata.mount'
if mountpoint -q /lab-data; then systemctl stop var-log-pods.mount 'lab\x2ddata.mount'; fi
rm -f /etc/systemd/system/var-log-pods.mount '/etc/systemd/system/lab\x2ddata.mount'
systemctl daemon-reload
"""
TAKE_AWAY = f"""
losetup --detach $(readlink -f {DEVICE})
rm -f {DEVICE} /var/lib/lab-disk.img
"""


def disk(spec: dict[str, Any]) -> None:
    spec["hosts"][HOST]["disks"] = [
        {"device": DEVICE, "fileSystem": "ext4", "mount": "/lab-data", "holds": ["pod-logs"]}
    ]


def no_disk(spec: dict[str, Any]) -> None:
    spec["hosts"][HOST].pop("disks", None)


@pytest.fixture
def with_device(lab: LabCluster) -> Iterator[LabCluster]:
    # Within ten seconds of its start a kubelet has the logs of running containers opened anew, on the disk then.
    lab.kubectl("delete", "pods", "-n", "default", f"--field-selector=spec.nodeName={HOST}", "--timeout=60s")
    lab.sh(HOST, MAKE)
    yield lab
    lab.try_sh(HOST, UNMOUNT)
    lab.try_sh(HOST, TAKE_AWAY)
    rendered(lab, no_disk)
    apply(lab)


def test_a_disk_that_holds_something_is_refused_and_untouched(with_device: LabCluster) -> None:
    lab = with_device
    lab.sh(HOST, f"mkfs.ext4 -q -L photos {DEVICE}")
    before = lab.sh(HOST, "sha256sum /var/lib/lab-disk.img")
    rendered(lab, disk)
    done = lab.invoke("apply", "--yes", "--source", str(lab.artifacts))
    assert done.returncode != 0
    assert "it holds ext4 with the label photos" in done.stdout + done.stderr
    assert lab.sh(HOST, "sha256sum /var/lib/lab-disk.img") == before
    assert lab.try_sh(HOST, "mountpoint /lab-data").returncode != 0


def test_an_empty_disk_is_mounted_and_stays_when_it_leaves_the_spec(with_device: LabCluster) -> None:
    lab = with_device
    # A bind hides nothing: what a node that runs has there is moved first, as the refusal says (tests/tools try that).
    lab.sh(HOST, "systemctl stop kubelet; rm -rf /var/log/pods.old; mv /var/log/pods /var/log/pods.old")
    rendered(lab, disk)
    apply(lab)
    assert lab.sh(HOST, "findmnt -no FSTYPE /lab-data").strip() == "ext4"
    assert lab.sh(HOST, "findmnt -no SOURCE /var/log/pods").strip().endswith("[/pod-logs]")
    assert lab.sh(HOST, "systemctl is-active kubelet").strip() == "active"
    # It leaves the spec: nothing is unmounted, and the run says what to do.
    rendered(lab, no_disk)
    done = lab.invoke("apply", "--yes", "--source", str(lab.artifacts))
    assert done.returncode != 0 and "an apply unmounts no data disk" in done.stdout + done.stderr
    assert lab.sh(HOST, "findmnt -no FSTYPE /lab-data").strip() == "ext4"
    lab.sh(HOST, UNMOUNT)
    apply(lab)
    assert lab.try_sh(HOST, "mountpoint /lab-data").returncode != 0
    assert lab.sh(HOST, "systemctl is-active kubelet").strip() == "active"
    assert lab.all_ready()
