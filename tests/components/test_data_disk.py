"""Units of data disks: what is mounted where, in which order, and what cannot start without it."""

from __future__ import annotations

from typing import Any

import pytest

from generator.components import containerd, data_disk, etcd, kubelet
from generator.components.data_disk import COMPONENT, SCRIPT
from generator.components.items import HostFile, HostPackage, HostUnit
from generator.formats.units import escaped_path
from generator.spec.model import Cluster
from generator.spec.sections import Disk
from tests.components.clusters import cluster, of_host, of_pool, shared, text

BY_ID = "/dev/disk/by-id/nvme-0001"
SYSTEMD = "/etc/systemd/system"


def stores(disk: str, more: str = "") -> Cluster:
    return cluster(
        pools=f"stores: {{roles: [etcd, worker], disks: [{{device: {BY_ID}, {disk}}}]}}",
        hosts="s[1:2]: {pool: stores, address: '10.0.2.[1:2]'}",
        more=more,
    )


def keys(unit: str) -> dict[str, Any]:
    return dict(line.split("=", 1) for line in unit.splitlines() if "=" in line)


def test_only_where_a_pool_or_a_host_of_it_names_disks() -> None:
    made = stores("mount: /data")
    assert [name for name, pool in made.pools.items() if COMPONENT.runs_on(made, pool)] == ["stores"]
    own = cluster(hosts=f"w9: {{pool: workers, address: 10.0.1.9, disks: [{{device: {BY_ID}, mount: /data}}]}}")
    assert [name for name, pool in own.pools.items() if COMPONENT.runs_on(own, pool)] == ["workers"]
    assert of_host(COMPONENT, own, "worker1") == {} and f"{SYSTEMD}/data.mount" in of_host(COMPONENT, own, "w9")


@pytest.mark.parametrize(("kind", "options"), [("xfs", "noatime,pquota"), ("ext4", "noatime")])
def test_a_disk_is_mounted_once_it_is_ready(kind: str, options: str) -> None:
    made = stores(f"mount: /data, fileSystem: {kind}")
    items = of_pool(COMPONENT, made, "stores")
    mount = keys(text(items, f"{SYSTEMD}/data.mount"))
    assert (mount["What"], mount["Where"], mount["Type"], mount["Options"]) == (BY_ID, "/data", kind, options)
    label = made.pools["stores"].disks[0].label
    assert mount["AssertPathExists"] == f"/run/slipway-disks/{label}"
    assert mount["After"].split()[-1] == mount["Wants"] == "slipway-disk-data.service"
    prepare = text(items, f"{SYSTEMD}/slipway-disk-data.service").replace(" \\\n ", "")
    for verb in ("ExecStart", "ExecReload"):
        assert f"{verb}=/bin/sh {SCRIPT} prepare {BY_ID} {kind} /data {label}\n" in prepare
    assert items[f"package:{'xfsprogs' if kind == 'xfs' else 'e2fsprogs'}"] == HostPackage(
        "xfsprogs" if kind == "xfs" else "e2fsprogs", "data-disk"
    )


def test_a_missing_disk_stops_neither_the_boot_nor_lets_anything_onto_the_bare_folder() -> None:
    made = stores("mount: /data, holds: [etcd, kubelet, containerd, pod-logs]")
    items = of_pool(COMPONENT, made, "stores")
    for key, item in items.items():
        if isinstance(item, HostFile):
            unit = text(items, key)
            assert "local-fs.target" not in unit and "Requires=" not in unit, key
    bound = {keys(text(items, key))["Where"] for key in items if key.endswith(".mount") and key.startswith("/")}
    for component, unit in ((etcd, "etcd.service"), (containerd, "containerd.service"), (kubelet, "kubelet.service")):
        needs = keys(text(shared(component.COMPONENT, made), f"{SYSTEMD}/{unit}"))["RequiresMountsFor"].split()
        assert set(needs) <= bound and needs
    logs = keys(text(items, f"{SYSTEMD}/var-log-pods.mount"))
    assert logs["RequiredBy"] == "kubelet.service" and "kubelet.service" in logs["Before"]
    assert keys(text(shared(etcd.COMPONENT, made), f"{SYSTEMD}/etcd.service"))["AssertPathExists"] == (
        "/var/lib/etcd/member"
    )


def test_folders_lie_on_the_disk_and_are_bound_where_the_spec_wants_them() -> None:
    more = "directories: {etcdData: /var/lib/my-etcd, etcdWal: /srv/wal}"
    made = stores("mount: /data, holds: [etcd-wal, etcd]", more)
    items = of_pool(COMPONENT, made, "stores")
    bind = keys(text(items, rf"{SYSTEMD}/var-lib-my\x2detcd.mount"))
    assert (bind["What"], bind["Where"], bind["Options"]) == ("/data/etcd", "/var/lib/my-etcd", "bind")
    assert bind["AssertPathExists"].endswith("-folders") and bind["Wants"] == "slipway-disk-data-folders.service"
    folders = text(items, f"{SYSTEMD}/slipway-disk-data-folders.service").replace(" \\\n ", "")
    assert "etcd=/var/lib/my-etcd etcd-wal=/srv/wal\n" in folders and "RequiresMountsFor=/data\n" in folders


def test_nothing_restarts_and_every_unit_is_enabled() -> None:
    items = of_pool(COMPONENT, stores("mount: /data, holds: [etcd]"), "stores")
    units = {key.removeprefix("unit:") for key, item in items.items() if isinstance(item, HostUnit)}
    for key, item in items.items():
        if isinstance(item, HostFile):
            name = key.removeprefix(f"{SYSTEMD}/")
            assert (item.restarts, item.reloads) == ((), (name,)) and name in units
    assert len(units) == 4


def test_a_label_fits_xfs_and_tells_mount_points_apart() -> None:
    labels = {Disk("", "xfs", mount, ()).label for mount in ("/data", "/srv/data", "/data/1", "/data/2")}
    assert len(labels) == 4 and {len(label) for label in labels} == {12}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data", "data"),
        ("/var/lib/etcd/", "var-lib-etcd"),
        ("/a-b/.c", r"a\x2db-.c"),
        ("/.a b", r"\x2ea\x20b"),
        ("/", "-"),
    ],
)
def test_names_are_those_of_systemd_escape(path: str, name: str) -> None:
    assert escaped_path(path) == name


def test_the_script_is_shared_and_the_marks_are_the_same() -> None:
    script = text(shared(COMPONENT, stores("mount: /data")), SCRIPT)
    assert f"marks={data_disk.MARKS}\n" in script
