"""Each way into the API on real hosts: it carries traffic, survives a control-plane host, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.network import NETWORK
from tests.lab.cluster_under_test import LabCluster, until
from tests.lab.load import stored, writing
from tests.lab.test_drift import apply

pytestmark = pytest.mark.lab

CONTROL = ("cp1", "cp2", "cp3")
NODES = (*CONTROL, "w1", "w2")
VIP, VIP_PORT = str(NETWORK[200]), 9443
LOCAL = "127.0.0.1:8443"
# The host that is stopped leads, so that the address has to leave it; kubectl enters by cp1.
PRIORITIES = {"cp1": 100, "cp2": 120, "cp3": 150}
ADDRESS = {
    "address": f"{VIP}/{NETWORK.prefixlen}", "role": "control-plane", "virtualRouterId": 83, "priorities": PRIORITIES,
    "port": VIP_PORT,
}  # fmt: skip
GAP_SECONDS = 45
"""The longest that a client may wait while a host is lost without a word: connections to it have to time out first."""

MODES: dict[str, tuple[dict[str, Any], str]] = {
    "haproxy": ({"balancer": "haproxy"}, LOCAL),
    "nginx": ({}, LOCAL),
    "localhost:6443": ({"balancerPort": 6443}, "127.0.0.1:6443"),
    "haproxy at localhost:6443": ({"balancer": "haproxy", "balancerPort": 6443}, "127.0.0.1:6443"),
    "virtual address beside balancers": ({"vip": ADDRESS}, f"{VIP}:{VIP_PORT}"),
    "virtual address alone": ({"vip": ADDRESS, "balancer": "none", "nodesUse": "endpoint"}, f"{VIP}:{VIP_PORT}"),
}
"""What stands under `api`, and where a client on a node enters."""


def api(values: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """A change of the spec: the whole section."""

    def change(spec: dict[str, Any]) -> None:
        spec.pop("api", None)
        if values:
            spec["api"] = values

    return change


def switched(lab: LabCluster, values: dict[str, Any]) -> None:
    lab.edit_spec(api(values))
    done = lab.invoke("render")
    assert done.returncode == 0, done.stdout + done.stderr
    lab.commit("another way into the API")
    apply(lab)


@pytest.fixture(scope="module", autouse=True)
def back_to_the_default(lab: LabCluster) -> Iterator[None]:
    yield
    switched(lab, {})
    assert lab.all_ready()


@contextlib.contextmanager
def without(lab: LabCluster, host: str) -> Iterator[None]:
    """A host that is stopped while the block runs, and in the cluster again afterwards."""
    lab.lab_stop(host)
    try:
        yield
    finally:
        lab.lab_start(host)
        until(lambda: lab.all_ready(NODES), 240)
        until(lambda: lab.try_sh(host, "systemctl is-active kube-apiserver").returncode == 0, 120)


def carriers(lab: LabCluster, *hosts: str) -> list[str]:
    return [host for host in hosts if f" {VIP}/" in lab.sh(host, "ip -o address show dev eth0")]


def leftovers(lab: LabCluster, host: str, values: dict[str, Any]) -> str:
    """What a host has of ways into the API that the spec does not ask of it: files, users, units and processes."""
    carries, local = "vip" in values and host in CONTROL, values.get("balancer", "nginx")
    names = [] if carries else ["endpoint-balancer", "endpoint-vip"]
    names += ["apiserver-balancer"] if local == "none" else []
    programs = [] if carries else ["keepalived"]
    programs += ["nginx"] if local != "nginx" else []
    programs += [] if carries or local == "haproxy" else ["haproxy"]
    script = ["exec 2>/dev/null"]
    for name in names:
        script.append(f"ls -d /etc/{name} /run/{name} /etc/systemd/system/{name}.service* /etc/slipway/{name}.env")
        script.append(f"systemctl is-active --quiet {name} && echo {name} runs; id -u {name} && echo {name} is a user")
    script += [f"pgrep -l -x {program}" for program in programs]
    if local == "haproxy":
        script.append("ls /etc/apiserver-balancer/*.conf")
    if local == "nginx":
        script.append("ls /etc/apiserver-balancer/*.cfg /etc/apiserver-balancer/ca.crt")
    return lab.sh(host, "\n".join([*script, "true"]))


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_carries_traffic_and_survives_a_control_plane_host(lab: LabCluster, mode: str) -> None:
    values, way = MODES[mode]
    switched(lab, values)
    until(lambda: lab.all_ready(NODES), 120)
    for host in NODES:
        assert leftovers(lab, host, values) == "", host
        server = "127.0.0.1:" if way.startswith("127.") or "balancer" not in values else f"{VIP}:"
        assert f"server: https://{server}" in lab.sh(host, "cat /etc/kubernetes/kubelet.kubeconfig")
    with writing(lab, through="w1", ways=[way]) as seen, without(lab, "cp3"):
        time.sleep(30)
        assert lab.kubectl("get", "--raw", "/readyz", f"--server=https://{lab.addresses['cp1']}:6443") == "ok"
    print(f"\n{mode}: {seen.words}")
    assert len(seen.acknowledged) > 100
    assert not set(seen.acknowledged) - stored(lab), "an acknowledged write is lost"
    assert seen.longest_gap < GAP_SECONDS


def test_the_virtual_address_moves_and_does_not_move_back(lab: LabCluster) -> None:
    switched(lab, MODES["virtual address alone"][0])
    lab.sh("cp1", "systemctl stop endpoint-vip")
    lab.sh("cp2", "systemctl stop endpoint-vip")
    until(lambda: carriers(lab, *CONTROL) == ["cp3"], 30)
    for host in ("cp1", "cp2"):
        lab.sh(host, "systemctl start endpoint-vip")
    with writing(lab, through="w1", ways=[f"{VIP}:{VIP_PORT}"]) as seen:
        time.sleep(5)
        # Its own balancer ends, not keepalived: the check has to notice.
        lab.sh("cp3", "systemctl stop endpoint-balancer")
        until(lambda: carriers(lab, *CONTROL) == ["cp2"], 30)
        time.sleep(10)
        lab.sh("cp3", "systemctl start endpoint-balancer")
        time.sleep(15)
        assert carriers(lab, *CONTROL) == ["cp2"], "a host that comes back waits"
    print(f"\nthe address moves: {seen.words}")
    assert not set(seen.acknowledged) - stored(lab)
    assert seen.longest_gap < GAP_SECONDS


def test_from_node_local_to_the_virtual_address_and_back_no_acknowledged_write_is_lost(lab: LabCluster) -> None:
    switched(lab, {})
    alone = MODES["virtual address alone"][0]
    with writing(lab, through="w1", ways=[LOCAL, f"{VIP}:{VIP_PORT}"]) as seen:
        switched(lab, alone)
        assert all(leftovers(lab, host, alone) == "" for host in NODES)
        switched(lab, {})
        assert all(leftovers(lab, host, {}) == "" for host in NODES)
    print(f"\nnode-local, virtual address, node-local: {seen.words}")
    assert len(seen.acknowledged) > 100
    assert not set(seen.acknowledged) - stored(lab), "an acknowledged write is lost"
    assert seen.longest_gap < GAP_SECONDS
    assert carriers(lab, *CONTROL) == []
