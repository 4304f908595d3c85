"""Disks are prepared for real, on loop devices: an empty one gets its file system, any other stays as it is."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from generator.components import data_disk
from generator.components.items import HostFile
from generator.spec.layout import SYSTEMD_DIR
from generator.spec.model import Cluster
from generator.spec.sections import Disk
from tests.components.clusters import cluster, of_pool, shared, text

pytestmark = pytest.mark.tools

SIZE = 16 * 1024**2
XFS_SIZE = 320 * 1024**2  # xfs refuses less than 300 MiB
LABEL = Disk("", "xfs", "/data", ()).label


def run(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return subprocess.run(
        [str(word) for word in words], env={"PATH": path, **more}, capture_output=True, text=True, timeout=60
    )


@dataclass
class LoopDisk:
    """A sparse file as a block device, and the program with its marks in a folder."""

    folder: Path
    device: str

    @property
    def image(self) -> Path:
        return self.folder / "disk.img"

    def verb(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return run("sh", self.folder / "data-disk", *words)

    def prepare(self, kind: str = "xfs", mount: str = "", device: str = "") -> subprocess.CompletedProcess[str]:
        return self.verb("prepare", device or self.device, kind, mount or str(self.folder / "data"), LABEL)

    @property
    def mark(self) -> Path:
        return self.folder / "marks" / LABEL

    def found(self) -> tuple[str, str]:
        """Kind and label of what lies on the device."""
        values = [
            run("blkid", "-p", "-s", name, "-o", "value", self.device).stdout.strip() for name in ("TYPE", "LABEL")
        ]
        return values[0], values[1]

    def digest(self) -> str:
        run("sync", self.device)
        with self.image.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LoopDisk]:
    for name in ("losetup", "mkfs.xfs", "mkfs.ext4", "wipefs", "lsblk"):
        if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            pytest.skip(f"{name} is not installed")
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(getattr(request, "param", SIZE))
    made = run("losetup", "--find", "--show", image)
    if made.returncode != 0:
        pytest.skip(f"no loop device can be made here: {made.stderr.strip()}")
    (tmp_path / "marks").mkdir()
    script = text(shared(data_disk.COMPONENT, with_disks()), data_disk.SCRIPT)
    script = script.replace("marks=/run/slipway-disks", f"marks={tmp_path}/marks").replace("patience=60", "patience=1")
    (tmp_path / "data-disk").write_text(script)
    one = LoopDisk(tmp_path, made.stdout.strip())
    try:
        yield one
    finally:
        for point in sorted(tmp_path.rglob("*"), reverse=True):
            if point.is_mount():
                run("umount", point)
        run("losetup", "--detach", one.device)


def with_disks(holds: str = "[kubelet, containerd, pod-logs]") -> Cluster:
    disks = f"[{{device: /dev/disk/by-id/x, mount: /var/data-1, holds: {holds}}}]"
    return cluster(pools=f"stores: {{roles: [worker], disks: {disks}}}", hosts="s1: {pool: stores, address: 10.0.2.1}")


@pytest.mark.parametrize(("disk", "kind"), [(XFS_SIZE, "xfs"), (SIZE, "ext4")], indirect=["disk"], ids=["xfs", "ext4"])
def test_an_empty_disk_gets_its_file_system_once(disk: LoopDisk, kind: str) -> None:
    first = disk.prepare(kind)
    assert first.returncode == 0, first.stderr
    assert disk.found() == (kind, LABEL) and f"gets {kind} with the label {LABEL}" in first.stdout
    assert disk.mark.exists()
    made = run("blkid", "-p", "-s", "UUID", disk.device).stdout
    again = disk.prepare(kind)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert run("blkid", "-p", "-s", "UUID", disk.device).stdout == made != ""


def test_a_prepared_disk_is_mounted_and_takes_folders(disk: LoopDisk) -> None:
    assert disk.prepare("ext4").returncode == 0
    data, kubelet = disk.folder / "data", disk.folder / "kubelet"
    data.mkdir()
    kubelet.mkdir()
    early = disk.verb("folders", data, LABEL, f"kubelet={kubelet}")
    assert early.returncode != 0 and "is not mounted" in early.stderr
    mounted = run("mount", "-o", "noatime", disk.device, data)
    assert mounted.returncode == 0, mounted.stderr
    assert disk.prepare("ext4").returncode == 0
    assert disk.verb("folders", data, LABEL, f"kubelet={kubelet}", f"etcd={disk.folder}/none").returncode == 0
    assert sorted(path.name for path in data.iterdir()) == ["etcd", "kubelet", "lost+found"]
    assert (disk.folder / "marks" / f"{LABEL}-folders").exists()
    # What lies where a bind would come is named and not hidden.
    (kubelet / "config").write_text("x")
    refused = disk.verb("folders", data, LABEL, f"kubelet={kubelet}")
    assert refused.returncode != 0 and f"{kubelet} holds something, which {data}/kubelet would hide" in refused.stderr
    assert not (disk.folder / "marks" / f"{LABEL}-folders").exists()
    # Once it is bound, what lies there lies on the disk.
    assert run("mount", "--bind", data / "kubelet", kubelet).returncode == 0
    (kubelet / "config").write_text("x")
    assert disk.verb("folders", data, LABEL, f"kubelet={kubelet}").returncode == 0


PLANTED = {
    "another file system": (["mkfs.ext4", "-q", "-L", "photos"], "it holds ext4 with the label photos"),
    "our kind without our label": (["mkfs.ext4", "-q"], "it holds ext4"),
    "a partition table": (["sfdisk", "--quiet"], "it has a partition table (dos)"),
    "swap": (["mkswap"], "it holds swap"),
    "lvm": (["lvm"], "it holds LVM2_member"),
    "bytes without a name": (["bytes"], "its first 4 MiB are not empty"),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_disk_that_holds_anything_is_refused_and_untouched(disk: LoopDisk, what: str) -> None:
    words, reason = PLANTED[what]
    if words == ["bytes"]:
        with disk.image.open("r+b") as file:
            file.seek(3 * 1024**2)
            file.write(b"somebody's")
    elif words == ["lvm"]:
        # A physical volume's label, as lib/label of LVM2 writes it: sector 1, with its checksum over the rest.
        with disk.image.open("r+b") as file:
            file.seek(512)
            file.write(lvm_label())
    elif words[0] == "sfdisk":
        if shutil.which("sfdisk", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            pytest.skip("sfdisk is not installed")
        subprocess.run(["sfdisk", "--quiet", disk.device], input="label: dos\n2048,20480\n", text=True, check=True)
    else:
        assert run(*words, disk.device).returncode == 0
    run("blockdev", "--flushbufs", disk.device)
    before = disk.digest()
    done = disk.prepare("ext4")
    assert done.returncode != 0
    assert reason in done.stderr, done.stderr
    assert f"wipefs --all {disk.device}" in done.stderr and "Name another disk in the spec" in done.stderr
    assert disk.digest() == before and not disk.mark.exists()


def lvm_label() -> bytes:
    body = (32).to_bytes(4, "little") + b"LVM2 001" + b"0123456789abcdefghijklmnopqrstuv" + bytes(480 - 44 + 12 - 0)
    body = body[: 512 - 20]
    crc = lvm_crc(body)
    return b"LABELONE" + (1).to_bytes(8, "little") + crc.to_bytes(4, "little") + body


def lvm_crc(data: bytes) -> int:
    crc = 0xF597A6CF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xEDB88320 if crc & 1 else 0)
    return crc


@pytest.mark.parametrize("left", [0, 2 * 1024**2])
def test_a_disk_that_cannot_be_read_is_not_taken_for_an_empty_one(disk: LoopDisk, left: int) -> None:
    # What a loop device reads behind the end of its file is an error, as on a disk that fails.
    with disk.image.open("r+b") as file:
        file.truncate(left)
    run("blockdev", "--flushbufs", disk.device)
    done = disk.prepare("ext4")
    assert done.returncode != 0 and "cannot be read" in done.stderr, done.stdout + done.stderr
    assert disk.image.stat().st_size == left and not disk.mark.exists()


def test_a_disk_in_use_is_refused_and_untouched(disk: LoopDisk) -> None:
    elsewhere = disk.folder / "elsewhere"
    elsewhere.mkdir()
    assert run("mkfs.ext4", "-q", disk.device).returncode == 0
    assert run("mount", disk.device, elsewhere).returncode == 0
    (elsewhere / "only-copy").write_text("x")
    done = disk.prepare("ext4")
    assert done.returncode != 0 and f"it is mounted at {elsewhere}" in done.stderr
    assert (elsewhere / "only-copy").read_text() == "x" and disk.found()[0] == "ext4"


def test_a_mount_point_that_another_disk_holds_or_that_has_content_is_refused(disk: LoopDisk) -> None:
    data = disk.folder / "data"
    data.mkdir()
    (data / "file").write_text("x")
    done = disk.prepare()
    assert done.returncode != 0 and "which the mount would hide" in done.stderr and disk.found() == ("", "")
    assert run("mount", "-t", "tmpfs", "tmpfs", data).returncode == 0
    done = disk.prepare()
    assert done.returncode != 0 and f"{data} is mounted already, from device" in done.stderr
    assert disk.found() == ("", "")


def test_another_kind_than_the_spec_wants_is_told_while_it_is_mounted(disk: LoopDisk) -> None:
    assert disk.prepare("ext4").returncode == 0
    data = disk.folder / "data"
    data.mkdir()
    assert run("mount", disk.device, data).returncode == 0
    assert disk.prepare("ext4").returncode == 0
    done = disk.prepare("xfs")
    assert done.returncode != 0 and f"which holds ext4 with the label '{LABEL}', and the spec wants xfs" in done.stderr
    assert not disk.mark.exists() and disk.found() == ("ext4", LABEL)


def test_a_disk_that_does_not_come_is_named(disk: LoopDisk) -> None:
    done = disk.prepare(device=f"{disk.folder}/by-id/missing")
    assert done.returncode != 0 and "is not there after 1 s" in done.stderr


def test_systemd_reads_the_units_and_agrees_on_their_names(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    items = of_pool(data_disk.COMPONENT, with_disks(), "stores")
    names = [path.removeprefix(f"{SYSTEMD_DIR}/") for path, item in items.items() if isinstance(item, HostFile)]
    assert r"var-data\x2d1.mount" in names and len(names) == 6
    folder = tmp_path / SYSTEMD_DIR.removeprefix("/")
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(text(items, f"{SYSTEMD_DIR}/{name}"))
    for name in ("sysinit", "basic", "multi-user", "umount", "shutdown", "local-fs-pre", "local-fs"):
        (folder / f"{name}.target").write_text("[Unit]\nDescription=x\n")
    for name in ("-.slice", "system.slice"):
        (folder / name).write_text("[Unit]\nDescription=x\n")
    (folder / "kubelet.service").write_text("[Service]\nExecStart=/bin/sh\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").write_text("")
    (tmp_path / "bin/sh").chmod(0o755)
    paths = [f"{SYSTEMD_DIR}/{name}" for name in names]
    done = run("systemd-analyze", "verify", "--man=no", f"--root={tmp_path}", *paths)
    assert (done.stdout + done.stderr).strip() == "" and done.returncode == 0
    for name in names:
        if name.endswith(".mount"):
            where = next(
                line for line in text(items, f"{SYSTEMD_DIR}/{name}").splitlines() if line.startswith("Where=")
            )
            asked = run("systemd-escape", "--path", "--suffix=mount", where.removeprefix("Where="))
            assert asked.stdout.strip() == name
