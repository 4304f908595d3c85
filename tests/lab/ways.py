"""Ways into the API: modes of the spec, how to change between them, and what they leave on hosts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from lab.network import NETWORK
from tests.lab.cluster_under_test import LabCluster, until
from tests.lab.load import stored, writing
from tests.lab.test_certs_renew import serve_what_is_installed
from tests.lab.test_drift import apply

CONTROL = ("cp1", "cp2", "cp3")
NODES = (*CONTROL, "w1", "w2")
VIP, VIP_PORT = str(NETWORK[200]), 9443
EXTERNAL, EXTERNAL_PORT = "w3", 9443
"""A host that belongs to no cluster, with a balancer of somebody else's."""
LOCAL = "127.0.0.1:8443"
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
    lab.forget_kubeconfig()
    until(lambda: serve_what_is_installed(lab, ("apiserver",)), 90)


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
    # Another port of the balancer is another unit with folders of its own.
    port = values.get("balancerPort", 8443)
    wanted = "apiserver-balancer" if port == 8443 else f"apiserver-balancer-{port}"
    script.append("ls -d /etc/apiserver-balancer* /run/apiserver-balancer* | grep -vE " + f"'/{wanted}$'")
    script.append(f"ls /etc/systemd/system | grep apiserver-balancer | grep -vxF {wanted}.service")
    if local == "haproxy":
        script.append(f"ls /etc/{wanted}/*.conf")
    if local == "nginx":
        script.append(f"ls /etc/{wanted}/*.cfg /etc/{wanted}/ca.crt")
    return lab.sh(host, "\n".join([*script, "true"]))


def survives(lab: LabCluster, values: dict[str, Any], way: str) -> None:
    """Change to a mode, and lose no write while a control-plane host is away; nothing of other modes is on a host.

    `way` is where a client on a node enters.
    """
    switched(lab, values)
    until(lambda: lab.all_ready(NODES), 120)
    clean(lab, values)
    for host in NODES:
        server = LOCAL if values.get("nodesUse", "balancer") == "balancer" and not way.startswith("127.") else way
        assert f"server: https://{server}" in lab.sh(host, "cat /etc/kubernetes/kubelet.kubeconfig")
    with writing(lab, through="w1", ways=[way]) as seen, without(lab, "cp3"):
        time.sleep(20)
        assert lab.kubectl("get", "--raw", "/readyz", f"--server=https://{lab.addresses['cp1']}:6443") == "ok"
    assert len(seen.acknowledged) > 100
    assert not set(seen.acknowledged) - stored(lab), "an acknowledged write is lost"
    assert seen.longest_gap < GAP_SECONDS


def clean(lab: LabCluster, values: dict[str, Any]) -> None:
    """Check that no host has anything of a mode that the spec does not ask for."""
    found = {host: left for host in NODES if (left := leftovers(lab, host, values))}
    assert not found, found
