"""What `invoke preflight` finds on real hosts: planted faults, each found by its check and gone with it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab import faults
from tests.lab.cluster_under_test import LabCluster, until

pytestmark = pytest.mark.lab


def preflight(lab: LabCluster, *words: str) -> tuple[int, dict[str, Any]]:
    done = lab.invoke("preflight", "--json", *words)
    assert done.returncode in (0, 1), done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["exit"] == done.returncode
    return done.returncode, document


def found(lab: LabCluster, host: str) -> set[tuple[str, str]]:
    """The checks that find something on a host, each with its severity."""
    _, document = preflight(lab, "--limit", host)
    print(document["findings"])
    return {(one["check"], one["severity"]) for one in document["findings"] if one["host"] == host}


@contextmanager
def covered(lab: LabCluster, host: str, path: str, text: str) -> Iterator[None]:
    """Let a file of the kernel or of the host say something else."""
    planted = "/run/planted-" + path.strip("/").replace("/", "-")
    lab.sh(host, f"printf '%s' {shlex.quote(text)} >{planted} && mount --bind {planted} {path}")
    try:
        yield
    finally:
        lab.sh(host, f"umount {path} && rm {planted}")


@contextmanager
def there(lab: LabCluster, host: str, path: str, text: str = "planted\n", mode: str = "0644") -> Iterator[None]:
    lab.sh(
        host,
        f"test ! -e {path} && mkdir -p {path.rpartition('/')[0]} && printf '%s' {shlex.quote(text)} >{path}"
        f" && chmod {mode} {path}",
    )
    try:
        yield
    finally:
        # With the folders that came with it.
        lab.sh(host, f"rm -f {path}; rmdir -p --ignore-fail-on-non-empty {path.rpartition('/')[0]}")


@contextmanager
def hidden(lab: LabCluster, host: str, program: str) -> Iterator[None]:
    path = lab.sh(host, f"command -v {program}").strip()
    lab.sh(host, f"mv {path} {path}.hidden")
    try:
        yield
    finally:
        lab.sh(host, f"mv {path}.hidden {path}")


@contextmanager
def dropped(lab: LabCluster, caller: str, target: str, port: int) -> Iterator[None]:
    rule = f"INPUT -s {lab.addresses[caller]} -p tcp --dport {port} -j DROP"
    lab.sh(target, f"iptables -I {rule}")
    try:
        yield
    finally:
        lab.sh(target, f"iptables -D {rule}")


@contextmanager
def listener(lab: LabCluster, host: str, port: int) -> Iterator[None]:
    lab.sh(host, f"systemd-run --quiet --collect --unit=planted socat TCP-LISTEN:{port},fork,reuseaddr EXEC:/bin/true")
    try:
        yield
    finally:
        lab.sh(host, "systemctl stop planted.service")


@pytest.fixture
def worker(lab: LabCluster) -> str:
    return lab.workers[0]


def test_a_running_cluster_has_no_errors(lab: LabCluster) -> None:
    code, document = preflight(lab)
    print(document["findings"])
    assert code == 0 and {*lab.control, *lab.workers} <= set(document["hosts"])
    # Hosts of the lab share a clock and keep none.
    assert {one["check"] for one in document["findings"]} <= {"time-sync"}


FILES = [
    ("os", "error", "/etc/os-release", "ID=debian\nVERSION_ID=11\n"),
    ("kernel", "warning", "/proc/sys/kernel/osrelease", "4.15.0-20\n"),
    ("cpu", "warning", "/sys/devices/system/cpu/online", "0\n"),
    ("memory", "warning", "/proc/meminfo", "MemTotal: 1048576 kB\n"),
    ("swap", "warning", "/proc/swaps", "Filename Type Size\n/swapfile file 9\n"),
]


@pytest.mark.parametrize(("check", "severity", "path", "text"), FILES, ids=[one[0] for one in FILES])
def test_a_file_that_says_otherwise(
    lab: LabCluster, worker: str, check: str, severity: str, path: str, text: str
) -> None:
    with covered(lab, worker, path, text):
        assert (check, severity) in found(lab, worker)
    assert (check, severity) not in found(lab, worker)


REMAINS = [
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "/etc/kubernetes/admin.conf",
    "/etc/systemd/system/k3s-agent.service",
    "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
]


@pytest.mark.parametrize("path", REMAINS)
def test_what_another_kubernetes_left(lab: LabCluster, worker: str, path: str) -> None:
    with there(lab, worker, path):
        assert ("remains", "warning") in found(lab, worker)
    assert "remains" not in {check for check, _ in found(lab, worker)}


def test_a_wrong_clock(lab: LabCluster, worker: str) -> None:
    with faults.wrong_clock(lab, worker, 7200):
        assert ("clock", "error") in found(lab, worker)


def test_another_time_zone(lab: LabCluster, worker: str) -> None:
    before = lab.sh(worker, "readlink /etc/localtime || true").strip()
    lab.sh(worker, "ln -sfn /usr/share/zoneinfo/Asia/Shanghai /etc/localtime")
    try:
        _, document = preflight(lab)
        assert ("timezone", worker) in {(one["check"], one["host"]) for one in document["findings"]}
    finally:
        lab.sh(worker, f"ln -sfn {before} /etc/localtime" if before else "rm /etc/localtime")


def test_a_missing_program(lab: LabCluster, worker: str) -> None:
    with hidden(lab, worker, "gzip"):
        assert ("programs", "error") in found(lab, worker)


@pytest.mark.parametrize("path", ["/etc/machine-id", "/proc/sys/kernel/hostname"])
def test_what_two_hosts_share(lab: LabCluster, worker: str, path: str) -> None:
    other = lab.control[0]
    check = {"/etc/machine-id": "machine-id"}.get(path, "hostname")
    with covered(lab, worker, path, lab.sh(other, f"cat {path}")):
        _, document = preflight(lab)
    hosts = {one["host"] for one in document["findings"] if one["check"] == check}
    assert hosts == {worker, other}


def test_an_address_that_is_not_on_the_host(lab: LabCluster, worker: str) -> None:
    # /proc/net is another one in every process, so the inventory says otherwise instead.
    path = lab.rendered / "inventory.yaml"
    before = path.read_text()
    own = f"address: {lab.addresses[worker]},"
    assert own in before
    path.write_text(before.replace(own, f"{own} secondaryAddress: 'fd00::99',"))
    try:
        code, document = preflight(lab, "--limit", worker, "--stale-ok")
    finally:
        path.write_text(before)
    assert code == 1 and "address" in {one["check"] for one in document["findings"] if one["severity"] == "error"}


def test_a_port_in_the_range_of_services_that_somebody_took(lab: LabCluster, worker: str) -> None:
    with listener(lab, worker, 30999):
        assert ("ports", "warning") in found(lab, worker)


def test_a_port_of_ours_that_somebody_took(lab: LabCluster, worker: str) -> None:
    lab.sh(worker, "systemctl stop kube-proxy.service kube-proxy.path")
    try:
        with listener(lab, worker, 10256):
            assert ("ports", "error") in found(lab, worker)
    finally:
        lab.sh(worker, "systemctl start kube-proxy.path kube-proxy.service")


def test_a_firewall_that_drops_is_told_from_a_port_that_nobody_has(lab: LabCluster, worker: str) -> None:
    caller = lab.control[0]
    with dropped(lab, caller, worker, 10250):
        _, document = preflight(lab, "--limit", caller)
    (one,) = [one for one in document["findings"] if one["check"] == "reach"]
    assert one["host"] == caller and worker in one["text"] and "10250" in one["text"]
    lab.sh(worker, "systemctl stop kubelet.service")
    try:
        assert "reach" not in {check for check, _ in found(lab, caller)}
    finally:
        lab.sh(worker, "systemctl start kubelet.service")


def test_a_read_only_and_a_full_file_system(lab: LabCluster, worker: str) -> None:
    with faults.read_only(lab, worker, "/usr/local/bin"):
        assert ("root", "error") in found(lab, worker)
    with faults.small_disk(lab, worker, "/var/lib/slipway", 64):
        assert ("root", "error") in found(lab, worker)


def test_a_host_that_does_not_answer(lab: LabCluster, worker: str) -> None:
    away = "sleep 1; systemctl stop ssh; sleep 25; systemctl start ssh"
    lab.sh(worker, f"systemd-run --quiet --collect --unit=away sh -c {shlex.quote(away)}")
    until(lambda: lab.try_sh(worker, "true").returncode != 0, 20)
    try:
        code, document = preflight(lab)
    finally:
        until(lambda: lab.try_sh(worker, "true").returncode == 0, 60)
    assert code == 1
    assert ("ssh", worker) in {(one["check"], one["host"]) for one in document["findings"]}


def test_checks_can_be_left_out(lab: LabCluster, worker: str) -> None:
    with hidden(lab, worker, "gzip"):
        code, document = preflight(lab, "--limit", worker, "--skip", "programs")
    assert code == 0 and document["skipped"] == ["programs"]
    done = lab.invoke("preflight", "--skip", "swapp")
    assert done.returncode == 1 and "did you mean swap?" in done.stderr
