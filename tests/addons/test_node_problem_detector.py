"""node-problem-detector: the kernel's own sentences are found, and it is heard on loopback alone."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from generator.spec import ports
from tests.addons.cases import members, pod_specs
from tests.golden.addon_cases import ADDON_CASES, AddonCase, case_cluster

DEFAULT = AddonCase("node-problem-detector", "default")
CASES = [case for case in ADDON_CASES if case.addon == "node-problem-detector"]


def monitors(case: AddonCase) -> dict[str, Any]:
    data = next(one["data"] for one in members(case) if one["kind"] == "ConfigMap")
    return {name: json.loads(text) for name, text in data.items()}


@pytest.mark.parametrize(
    ("line", "reasons"),
    [
        (
            "Memory cgroup out of memory: Killed process 4711 (java) total-vm:9104648kB, anon-rss:2092740kB, "
            "file-rss:0kB, shmem-rss:0kB, UID:1000 pgtables:4684kB oom_score_adj:969",
            {"OOMKilling"},
        ),
        ("Out of memory: Killed process 12 (a (b)) total-vm:1kB, anon-rss:1kB, file-rss:0kB", {"OOMKilling"}),
        ("INFO: task jbd2/sda1-8:412 blocked for more than 120 seconds.", {"TaskHung"}),
        ("INFO: task kworker/u8:2:31 blocked for more than 122 seconds.", {"TaskHung"}),
        ("INFO: task containerd-shim:992 blocked for more than 120 seconds.", {"TaskHung", "RuntimeHung"}),
        ("watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [kworker/3:1:88]", {"SoftLockup"}),
        ("unregister_netdevice: waiting for lo to become free. Usage count = 1", {"UnregisterNetDevice"}),
        ("BUG: kernel NULL pointer dereference, address: 0000000000000008", {"KernelOops"}),
        ("BUG: unable to handle page fault for address: ffffb0a1c0000000", {"KernelOops"}),
        ("divide error: 0000 [#1] SMP PTI", {"KernelOops"}),
        ("traps: x[1] general protection fault ip:7f sp:7f error:0 in libc.so.6", {"KernelOops"}),
        ("nf_conntrack: nf_conntrack: table full, dropping packet", {"ConntrackFull"}),
        ("EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2: comm ls: reading directory", {"Ext4Error"}),
        ("EXT4-fs warning (device sda1): ext4_end_bio:344: I/O error 10 writing to inode 12", {"Ext4Warning"}),
        ("Buffer I/O error on dev sdb, logical block 0, async page read", {"IOError"}),
        ("blk_update_request: I/O error, dev sdb, sector 2048 op 0x0:(READ)", {"IOError"}),
        ("EDAC MC0: 1 CE memory read error on CPU_SrcID#0_Ha#0_Chan#1_DIMM#0", {"MemoryError"}),
        ("EXT4-fs (sda1): Remounting filesystem read-only", {"FilesystemReadOnly"}),
        ("XFS (sda1): Corruption of in-memory data detected.  Shutting down filesystem", {"XfsHasShutDown"}),
        ("XFS (nvme0n1p2): Filesystem has been shut down due to log error (0x2).", {"XfsHasShutDown"}),
        ("EXT4-fs (sda1): mounted filesystem with ordered data mode. Quota mode: none.", set()),
        ("IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready", set()),
        ("EXT4-fs (sda1): re-mounted. Quota mode: none.", set()),
    ],
)
def test_what_the_kernel_says_is_understood(line: str, reasons: set[str]) -> None:
    for monitor in monitors(DEFAULT).values():
        # As the program does: from anywhere in the line to its end.
        found = {one["reason"] for one in monitor["rules"] if re.search(f"(?:{one['pattern']})\\Z", line)}
        assert found == reasons


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_lasting_trouble_has_a_condition_that_all_nodes_have(case: AddonCase) -> None:
    found = monitors(case)
    assert len({json.dumps([one["rules"], one["conditions"]]) for one in found.values()}) == 1
    for monitor in found.values():
        conditions = {one["type"] for one in monitor["conditions"]}
        lasting = {one["condition"] for one in monitor["rules"] if one["type"] == "permanent"}
        assert lasting == conditions
        assert all("condition" not in one for one in monitor["rules"] if one["type"] == "temporary")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_reads_what_is_mounted_and_listens_on_loopback(case: AddonCase) -> None:
    ((_, spec),) = pod_specs(case)
    (container,) = spec["containers"]
    mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
    files = container["args"][0].partition("=")[2].split(",")
    assert files == [f"/config/{name}" for name in monitors(case)]
    for monitor in monitors(case).values():
        assert any(monitor["logPath"].startswith(path) for path in mounted)
    assert {"--address=127.0.0.1", "--prometheus-address=127.0.0.1"} <= set(container["args"])
    assert {(one["hostIP"], one["hostPort"]) for one in container["ports"]} == {
        ("127.0.0.1", 20256),
        ("127.0.0.1", 20257),
    }


def test_its_ports_stand_in_the_table_of_nodes() -> None:
    cluster = case_cluster(DEFAULT)
    found = {one.port: one for one in ports.listeners(cluster, cluster.pools["workers"])}
    assert {20256, 20257} <= set(found) and found[20257].scopes == ("loopback",)
    without = case_cluster(AddonCase("dashboard", "default"))
    assert not {20256, 20257} & {one.port for one in ports.listeners(without, without.pools["workers"])}
