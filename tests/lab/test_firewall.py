"""A managed firewall on real hosts: every needed port open by role, a foreign one closed, and a way back in."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import pytest

from tests.lab.cluster_under_test import LabCluster, until
from tests.lab.test_drift import apply
from tests.lab.test_rolling import CONTROL, rendered

pytestmark = pytest.mark.lab

HOSTS = (*CONTROL, "w1", "w2")
FOREIGN = 7777


def managed(operators: str) -> Any:
    def change(spec: dict[str, Any]) -> None:
        spec["firewall"] = {"mode": "managed", "operators": [operators]}

    return change


def kept(spec: dict[str, Any]) -> None:
    spec.pop("firewall", None)


def lab_side(lab: LabCluster) -> str:
    """The address from which verbs enter a host."""
    return (
        lab.sh("w1", "ss -Htn state established '( sport = :22 )' | head -n 1")
        .split()[-1]
        .rpartition(":")[0]
        .strip("[]")
    )


def answers(lab: LabCluster, caller: str, host: str, port: int) -> bool:
    """Whether a TCP connection from one host to another gets in: refused counts, since the packet arrived."""
    code = f"timeout 3 bash -c ': </dev/tcp/{lab.addresses[host]}/{port}'"
    done: subprocess.CompletedProcess[str] = lab.try_sh(caller, code)
    return done.returncode != 124


def tables(lab: LabCluster, host: str) -> str:
    return lab.sh(host, "nft list tables")


@pytest.fixture(scope="module")
def firewalled(lab: LabCluster) -> Any:
    rendered(lab, managed(f"{lab_side(lab)}/32"))
    apply(lab)
    yield lab
    rendered(lab, kept)
    apply(lab)
    for host in HOSTS:
        assert "inet slipway" not in tables(lab, host), host


def test_ports_are_open_by_role_and_a_foreign_one_is_closed(firewalled: LabCluster) -> None:
    lab = firewalled
    for host in HOSTS:
        assert "inet slipway" in tables(lab, host), host
        listen = f"TCP-LISTEN:{FOREIGN},fork,reuseaddr"
        lab.sh(host, f"systemd-run --quiet --collect --unit=foreign socat {listen} EXEC:/bin/true")
    try:
        for host in HOSTS:
            caller = "w1" if host != "w1" else "w2"
            assert not answers(lab, caller, host, FOREIGN), host
            assert not answers(lab, caller, host, 22), f"sshd of {host} is for operators"
            assert not answers(lab, "w2" if host != "w2" else "w1", host, 10250), f"the kubelet of {host}"
            assert answers(lab, "cp1" if host != "cp1" else "cp2", host, 10250), f"the kubelet of {host}"
        for host in CONTROL:
            assert answers(lab, "w1", host, 6443) and not answers(lab, "w1", host, 2379)
            assert not answers(lab, "w1", host, 2380)
            assert answers(lab, "cp1" if host != "cp1" else "cp2", host, 2380)
    finally:
        for host in HOSTS:
            lab.sh(host, "systemctl stop foreign")
    # What runs in the cluster does not notice: pods, Services, node ports, exec and logs.
    done = lab.invoke("verify")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.lab_long
def test_rules_that_shut_the_operator_out_are_taken_back_by_the_hosts(firewalled: LabCluster) -> None:
    lab = firewalled
    before = lab.sh("w1", "nft -s list table inet slipway")
    rendered(lab, managed("192.0.2.0/24"))
    began = time.monotonic()
    done = lab.invoke("apply", "--yes", "--source", str(lab.artifacts))
    assert done.returncode != 0
    assert "no new SSH connection gets in" in done.stdout + done.stderr
    # Nobody gets in, this test included, until the host has put back what was confirmed last.
    until(lambda: lab.try_sh("w1", "true").returncode == 0, 180)
    assert time.monotonic() - began < 240
    assert lab.try_sh("w1", "systemctl is-active slipway-firewall").stdout.strip() == "inactive"
    assert lab.sh("w1", "nft -s list table inet slipway") == before
    rendered(lab, managed(f"{lab_side(lab)}/32"))
    apply(lab)


@pytest.mark.lab_long
def test_confirmed_rules_are_there_after_a_boot_without_anybody(firewalled: LabCluster) -> None:
    lab = firewalled
    before = lab.sh("w2", "nft -s list table inet slipway")
    lab.lab_stop("w2")
    lab.lab_start("w2")
    until(lambda: lab.try_sh("w2", "systemctl is-active slipway-firewall").returncode == 0, 120)
    time.sleep(100)
    assert lab.sh("w2", "nft -s list table inet slipway") == before
    until(lambda: lab.all_ready(HOSTS), 120)
