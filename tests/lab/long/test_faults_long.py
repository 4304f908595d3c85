"""Faults with the patience that Slipway has by itself: nothing is shortened, and a dead holder's lock is waited for."""

from __future__ import annotations

import time

import pytest

from tests.lab import faults
from tests.lab.cluster_under_test import LabCluster
from tests.lab.faults import Running, change, converge

pytestmark = pytest.mark.lab_long

KUBELET = "kubelet.service"


def test_a_silent_host_costs_a_plan_less_than_a_minute(lab: LabCluster) -> None:
    with faults.cut_off(lab, lab.workers[0], "drop"):
        began = time.monotonic()
        done = lab.invoke("plan")
        assert time.monotonic() - began < 60
    assert done.returncode == 1
    assert "cannot be reached (no answer within 20 s)" in done.stderr


def test_a_host_that_falls_silent_in_mid_activation_is_given_up_after_a_minute(lab: LabCluster) -> None:
    worker = lab.workers[0]
    change(lab, "kubelet", [worker])
    with faults.held_start(lab, worker, KUBELET):
        run = Running(lab, "apply", "--yes", patient=True)
        faults.wait_for_start(lab, worker, KUBELET)
        with faults.cut_off(lab, worker, "drop"):
            began = time.monotonic()
            done = run.ended()
            assert 40 < time.monotonic() - began < 150
    assert done.returncode == 1
    assert f"{lab.name}/{worker}: ssh: the connection broke (the host said nothing for 60 s)" in done.stderr
    assert converge(lab).returncode == 0


def test_a_lock_that_nobody_renews_is_free_for_others_after_two_minutes(lab: LabCluster) -> None:
    worker = lab.workers[0]
    change(lab, "kubelet", [worker])
    with faults.held_start(lab, worker, KUBELET):
        dead = Running(lab, "apply", "--yes", machine="desk-1")
        faults.wait_for_start(lab, worker, KUBELET)
        dead.power_off()
        faults.release(lab, worker)
        began = time.monotonic()
        waited = Running(lab, "apply", "--yes", "--wait", "4", machine="train-2").ended(400)
        assert 90 < time.monotonic() - began < 300
    assert waited.returncode == 0, waited.stderr
    assert "waiting for the lock: held by root@desk-1" in waited.stderr
    assert "is taken over: not renewed for 12" in waited.stderr
    assert converge(lab).returncode == 0
