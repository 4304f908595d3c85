"""The bad day: each fault gives one error that says host, cause and what is left, harms nobody else, and is mended.

Each test ends with the fault gone and the same command run again, after which nothing is left to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab import faults
from tests.lab.cluster_under_test import LabCluster, until
from tests.lab.faults import Running, change, converge, verb

pytestmark = pytest.mark.lab

KUBELET = "kubelet.service"
SCHEDULER = "kube-scheduler.service"
AGAIN = "run the same command again"


@pytest.fixture(autouse=True)
def mended(lab: LabCluster) -> Iterator[None]:
    """After each test the same command is run again, and nothing is left to do; a test that fails spoils no other."""
    before = lab.git("rev-parse", "HEAD").strip()
    yield
    faults.end_all()
    again = converge(lab)
    if again.returncode != 0:
        faults.put_back(lab, before)
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.fixture
def worker(lab: LabCluster) -> str:
    """A worker for which a change waits."""
    change(lab, "kubelet", [lab.workers[0]])
    return lab.workers[0]


@contextmanager
def back_on(lab: LabCluster, host: str) -> Iterator[None]:
    try:
        yield
    finally:
        lab.lab_start(host)
        until(lab.all_ready, 120)


@pytest.mark.parametrize("fault", ["silent", pytest.param("switched off", marks=pytest.mark.lab_long)])
def test_a_host_that_cannot_be_reached_is_named_before_anything_changes(
    lab: LabCluster, worker: str, fault: str
) -> None:
    other = lab.control[2]
    change(lab, "kubelet", [other])
    hosts = (*lab.control, *([worker] if fault == "silent" else []))
    before = lab.unit_starts(hosts)
    if fault == "switched off":
        lab.lab_stop(worker)
    with faults.cut_off(lab, worker, "drop") if fault == "silent" else back_on(lab, worker):
        for words in (["plan"], ["push"], ["apply", "--yes"]):
            done = verb(lab, *words)
            assert done.returncode == 1
            assert f"error: {lab.name}/{worker}: ssh: {lab.addresses[worker]}:22 cannot be reached" in done.stderr
            assert "--skip-unreachable" in done.stderr and "nothing was changed" in done.stderr
            assert "Traceback" not in done.stderr
        assert lab.unit_starts(lab.control) == {key: value for key, value in before.items() if key[0] in lab.control}
        assert not faults.locked(lab)
        skipped = verb(lab, "apply", "--yes", "--skip-unreachable")
        assert skipped.returncode == 0, skipped.stderr
        assert f"{worker}: left out: " in skipped.stderr
    after = lab.unit_starts(lab.control)
    assert {key for key in after if before[key] != after[key]} == {(other, KUBELET)}


def test_an_etcd_member_that_is_down_keeps_the_others_from_a_restart(lab: LabCluster) -> None:
    first, _, down = lab.control
    change(lab, "etcd", [first], "snapshot-count", 30000)
    before = lab.unit_starts(lab.control)
    lab.sh(down, "systemctl stop etcd.service")
    try:
        with faults.cut_off(lab, down, "drop"):
            held = verb(lab, "apply", "--yes", "--skip-unreachable", "--gate-timeout", "6")
        assert held.returncode == 1
        assert f"{lab.name}/{first}: etcd: gate etcd-quorum is still shut after 6 s" in held.stderr
        assert f"1 of 3 are healthy and 2 are needed; sick: {down}" in held.stderr
        assert f"nothing has been activated on any host; put right what is named above and {AGAIN}" in held.stderr
        after = lab.unit_starts(lab.control)
        assert {key for key in after if before[key] != after[key]} <= {(down, "etcd.service")}
        with faults.cut_off(lab, down, "drop"), faults.cut_off(lab, lab.control[1], "drop"):
            refused = verb(lab, "apply", "--yes", "--skip-unreachable")
        assert refused.returncode == 1
        assert "the lock needs 2 of 3 etcd hosts, and only 1 can carry it" in refused.stderr
    finally:
        lab.sh(down, "systemctl start etcd.service")


@pytest.mark.parametrize(
    "fault", ["killed", *(pytest.param(fault, marks=pytest.mark.lab_long) for fault in ("reset", "drop"))]
)
def test_a_connection_that_breaks_in_mid_activation_leaves_no_half(lab: LabCluster, worker: str, fault: str) -> None:
    with faults.held_start(lab, worker, KUBELET):
        run = Running(lab, "apply", "--yes")
        faults.wait_for_start(lab, worker, KUBELET)
        if fault == "killed":
            faults.kill_sessions(lab, worker)
            done = run.ended()
        else:
            with faults.cut_off(lab, worker, fault):
                done = run.ended()
        assert done.returncode == 1
        assert f"error: {lab.name}/{worker}: ssh: the connection broke (" in done.stderr
        assert f"{lab.name}: stopped in phase nodes: {worker}; put right" in done.stderr
        faults.release(lab, worker)
        # What began there goes on to its end: files and unit are of one generation.
        until(lambda: lab.try_sh(worker, "test -e /var/lib/slipway/busy").returncode != 0, 30)
        assert not lab.try_sh(worker, "find /etc -name '.*.slipway'").stdout
        assert lab.sh(worker, "ls /var/lib/slipway/pending") == ""
        assert lab.sh(worker, f"systemctl is-active {KUBELET}").strip() == "active"


def test_a_push_that_breaks_in_mid_artifact_is_sent_again(lab: LabCluster, worker: str) -> None:
    program = lab.sh(worker, "readlink -f /usr/local/bin/kubelet").strip()
    lab.sh(worker, f"mv {program} /var/tmp/kubelet")
    with faults.slow_line(lab, worker):
        run = Running(lab, "push", "--source", str(lab.artifacts))
        part = "test -n \"$(find /var/lib/slipway/artifacts -name '*.*' -size +1M)\""
        until(lambda: lab.try_sh(worker, part).returncode == 0, 60)
        faults.kill_sessions(lab, worker)
        done = run.ended()
    assert done.returncode == 1
    assert f"error: {lab.name}/{worker}: ssh: the connection broke (" in done.stderr
    assert f"not staged: {worker}; nothing has been activated" in done.stderr
    until(lambda: lab.sh(worker, "ls /var/lib/slipway/artifacts") == "", 30)
    assert lab.try_sh(worker, f"test -e {program}").returncode != 0
    assert lab.sh(worker, f"systemctl is-active {KUBELET}").strip() == "active"


@pytest.mark.lab_long
def test_a_host_that_hangs_for_a_while_is_waited_for_and_one_that_hangs_for_ever_is_given_up(
    lab: LabCluster, worker: str
) -> None:
    with faults.held_start(lab, worker, KUBELET):
        run = Running(lab, "apply", "--yes")
        faults.wait_for_start(lab, worker, KUBELET)
        faults.freeze_sessions(lab, worker, 5)
        faults.release(lab, worker)
        done = run.ended()
    assert done.returncode == 0, done.stderr
    change(lab, "kubelet", [worker])
    faults.freeze_sessions(lab, worker, 25)
    done = verb(lab, "apply", "--yes")
    assert done.returncode == 1
    assert f"{lab.name}/{worker}: ssh: " in done.stderr and "no answer within 3 s" in done.stderr
    until(lambda: lab.try_sh(worker, "true").returncode == 0, 60)


def test_a_full_disk_is_named_and_nothing_is_swapped(lab: LabCluster, worker: str) -> None:
    before = lab.unit_starts([worker])
    with faults.small_disk(lab, worker, "/var/lib/slipway", 0):
        for words in (["push"], ["apply", "--yes"]):
            done = verb(lab, *words)
            assert done.returncode == 1, done.stderr
            assert f"error: {lab.name}/{worker}: stage: " in done.stderr
            assert "(No space left on device); make room there and run the same command again" in done.stderr
            assert f"not staged: {worker}; nothing has been activated" in done.stderr
    assert verb(lab, "push").returncode == 0
    with faults.small_disk(lab, worker, "/etc/systemd/system", 0):
        unit = lab.sh(worker, f"cat /etc/systemd/system/{KUBELET}")
        done = verb(lab, "apply", "--yes")
        assert done.returncode == 1
        assert f"{lab.name}/{worker}: activate: /etc/systemd/system/{KUBELET} cannot be written (No space left" in (
            done.stderr
        )
        assert f"stopped in phase nodes: {worker}; put right" in done.stderr
        assert lab.sh(worker, f"cat /etc/systemd/system/{KUBELET}") == unit
    assert lab.unit_starts([worker]) == before


@pytest.mark.lab_long
def test_a_read_only_file_system_is_named_and_nothing_is_swapped(lab: LabCluster, worker: str) -> None:
    before = lab.unit_starts([worker])
    with faults.read_only(lab, worker, "/var/lib/slipway"):
        done = verb(lab, "apply", "--yes")
        assert done.returncode == 1
        assert (
            f"error: {lab.name}/{worker}: stage: " in done.stderr and "(Read-only file system); see why" in done.stderr
        )
    with faults.read_only(lab, worker, "/etc"):
        done = verb(lab, "apply", "--yes")
        assert done.returncode == 1
        assert f"{lab.name}/{worker}: activate: " in done.stderr and "(Read-only file system); see why" in done.stderr
    assert lab.unit_starts([worker]) == before
    first = lab.control[0]
    with faults.read_only(lab, first, "/var/lib/slipway"):
        # Two of three carry the lock; what this run changes lies elsewhere.
        done = verb(lab, "apply", "--yes", "--limit", worker)
        assert done.returncode == 0, done.stderr


@pytest.mark.lab_long
def test_a_wrong_clock_is_named_before_anything_changes(lab: LabCluster, worker: str) -> None:
    before = lab.unit_starts([*lab.control, worker])
    with faults.wrong_clock(lab, worker, 7200):
        plan = verb(lab, "plan")
        assert plan.returncode == 2, plan.stderr
        assert f"{worker}: push and apply will refuse it: its clock is 7" in plan.stdout + plan.stderr
        for words in (["push"], ["apply", "--yes"]):
            done = verb(lab, *words)
            assert done.returncode == 1
            assert f"{lab.name}/{worker}: preflight: its clock is 7" in done.stderr
            assert "s away from this machine's" in done.stderr and "nothing was changed" in done.stderr
    assert lab.unit_starts([*lab.control, worker]) == before


@pytest.mark.lab_long
def test_a_host_at_the_end_of_a_slow_line_gets_what_all_get(lab: LabCluster, worker: str) -> None:
    program = lab.sh(worker, "readlink -f /usr/local/bin/kubelet").strip()
    lab.sh(worker, f"mv {program} /var/tmp/kubelet")
    with faults.slow_line(lab, worker):
        done = verb(lab, "apply", "--yes", "--source", str(lab.artifacts))
    assert done.returncode == 0, done.stderr
    assert lab.sh(worker, f"sha256sum <{program}") == lab.sh(worker, "sha256sum </var/tmp/kubelet; rm /var/tmp/kubelet")


@pytest.mark.lab_long
def test_a_unit_that_never_becomes_healthy_stops_the_run_at_the_first_host(lab: LabCluster) -> None:
    hosts = lab.control
    for flag, value in (("tls-min-version", "VersionTLS99"), ("bind-address", "192.0.2.1")):
        change(lab, "kube-scheduler", hosts, flag, value)
        before = lab.unit_starts(hosts)
        done = verb(lab, "apply", "--yes", "--gate-timeout", "12")
        assert done.returncode == 1
        told = done.stderr[done.stderr.index("error: ") :]
        assert told.startswith(f"error: {lab.name}/{hosts[0]}: control-plane: gate units is still shut after 12 s: ")
        assert SCHEDULER in told.splitlines()[0]
        assert f"the last lines of {SCHEDULER}" in told and value in told
        assert f"stopped in phase control-plane: {hosts[0]}; not begun: " in told
        after = lab.unit_starts(hosts)
        assert {key for key in after if before[key] != after[key]} <= {(hosts[0], SCHEDULER)}
        faults.take_back(lab)


@pytest.mark.lab_long
def test_a_unit_that_somebody_masked_is_put_back(lab: LabCluster, worker: str) -> None:
    host = lab.control[0]
    lab.sh(host, "mkdir -p /run/systemd/system.control && ln -sf /dev/null /run/systemd/system.control/" + SCHEDULER)
    lab.sh(host, f"systemctl stop {SCHEDULER}; systemctl daemon-reload")
    try:
        done = verb(lab, "apply", "--yes")
        assert done.returncode == 1
        assert f"{lab.name}/{host}: control-plane: systemctl start {SCHEDULER} failed" in done.stderr
        assert "is masked" in done.stderr
    finally:
        lab.sh(host, f"rm -f /run/systemd/system.control/{SCHEDULER}; systemctl daemon-reload")


def test_two_operators_at_once_and_one_whose_machine_dies(lab: LabCluster, worker: str) -> None:
    with faults.held_start(lab, worker, KUBELET):
        first = Running(lab, "apply", "--yes", machine="desk-1")
        faults.wait_for_start(lab, worker, KUBELET)
        second = Running(lab, "apply", "--yes", machine="train-2").ended()
        assert second.returncode == 1
        assert "held by root@desk-1 since 20" in second.stderr
        assert f"apply --yes --cluster {lab.name}, tree " in second.stderr
        assert f"on {', '.join(lab.control)}, renewed " in second.stderr
        assert "wait for that run to end (--wait MINUTES does)" in second.stderr and "--break-lock" in second.stderr
        push = Running(lab, "push", machine="train-2").ended()
        assert push.returncode == 1 and "held by root@desk-1" in push.stderr
        waiting = Running(lab, "apply", "--yes", "--wait", "3", machine="train-2")
        until(lambda: "waiting for the lock: held by root@desk-1" in waiting.told, 60)
        faults.release(lab, worker)
        done, waited = first.ended(), waiting.ended()
        assert done.returncode == 0, done.stderr
        assert waited.returncode == 0, waited.stderr
    with faults.held_start(lab, worker, KUBELET):
        change(lab, "kubelet", [worker])
        dead = Running(lab, "apply", "--yes", machine="desk-1")
        faults.wait_for_start(lab, worker, KUBELET)
        dead.power_off()
        told = Running(lab, "apply", "--yes", machine="train-2").ended()
        assert told.returncode == 1 and "held by root@desk-1" in told.stderr
        faults.release(lab, worker)
        faults.age_lock(lab, 130)
        over = Running(lab, "apply", "--yes", machine="train-2").ended()
        assert over.returncode == 0, over.stderr
        assert "the lock of root@desk-1" in over.stderr and "is taken over: not renewed for 13" in over.stderr
    assert not faults.locked(lab)


@pytest.mark.lab_long
def test_a_host_that_boots_anew_in_mid_apply(lab: LabCluster, worker: str) -> None:
    boot = faults.started(lab, worker)
    with faults.held_start(lab, worker, KUBELET):
        run = Running(lab, "apply", "--yes")
        faults.wait_for_start(lab, worker, KUBELET)
        faults.boot_anew(lab, worker)
        done = run.ended()
        assert done.returncode == 1
        assert f"{lab.name}/{worker}: " in done.stderr and f"stopped in phase nodes: {worker}" in done.stderr
        faults.wait_for_boot(lab, worker, boot)


def test_a_member_that_dies_in_mid_roll_holds_the_next_one(lab: LabCluster) -> None:
    first, second, third = lab.control
    change(lab, "etcd", [first, second], "snapshot-count", 31000)
    before = lab.unit_starts(lab.control)
    with faults.held_start(lab, first, "etcd.service"):
        run = Running(lab, "apply", "--yes", "--gate-timeout", "25")
        faults.wait_for_start(lab, first, "etcd.service")
        lab.sh(third, "systemctl kill --signal=KILL etcd.service; systemctl stop etcd.service")
        faults.release(lab, first)
        done = run.ended()
    assert done.returncode == 1
    assert "etcd" in done.stderr and f"put right what is named above and {AGAIN}" in done.stderr
    after = lab.unit_starts(lab.control)
    assert (second, "etcd.service") not in {key for key in after if before[key] != after[key]}
    lab.sh(third, "systemctl start etcd.service")


@pytest.mark.lab_long
def test_the_api_is_down_while_a_node_is_to_join(lab: LabCluster) -> None:
    worker = lab.workers[0]
    kept = "/var/lib/kubelet/pki/kubelet-client-current.pem"
    lab.sh(worker, f"systemctl stop {KUBELET} && rm {kept}")
    for host in lab.control:
        lab.sh(host, "mv /usr/local/bin/kube-apiserver /usr/local/bin/.kept && systemctl kill -s KILL kube-apiserver")
    try:
        done = verb(lab, "apply", "--yes", "--limit", worker, "--gate-timeout", "10")
        assert done.returncode == 1
        assert "no API server can be reached" in done.stderr
        assert f"{AGAIN}" in done.stderr
        assert lab.try_sh(worker, "test -e /run/slipway/bootstrap-kubelet.kubeconfig").returncode != 0
    finally:
        for host in lab.control:
            lab.sh(host, "mv /usr/local/bin/.kept /usr/local/bin/kube-apiserver; systemctl start kube-apiserver")
    assert converge(lab).returncode == 0
    # Nodes whose leases ran out while no API server was there are Ready again after a while.
    until(lab.all_ready, 120)
