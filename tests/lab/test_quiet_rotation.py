"""Kubelets' certificates rotate for ever without any Slipway command, and nobody notices.

The quiet begins early in the session (conftest.ORDER) and is judged at its end; what is left of it is waited for.
"""

from __future__ import annotations

import time

import pytest

from tests.lab.cluster_under_test import LabCluster, until
from tests.lab.quiet import (
    CLIENT,
    PROXY_SECONDS,
    SAMPLE_SECONDS,
    SERVING,
    QuietWatch,
    serving_requests,
    slipway_journal,
)

pytestmark = pytest.mark.lab

TWO_ROTATIONS = 20 * 60
"""A certificate of ten minutes is replaced when 70 to 90 % of the fifteen that it states have passed: twice in 17."""


def test_the_quiet_begins(quiet_pair: QuietWatch) -> None:
    until(lambda: quiet_pair.samples > 0, 60)
    assert quiet_pair.failures == []


def test_client_and_serving_certificates_rotate_twice_on_each_host(quiet_pair: QuietWatch) -> None:
    def all_rotated() -> bool:
        return all(quiet_pair.rotated(host, kind) >= 2 for host in quiet_pair.hosts for kind in (CLIENT, SERVING))

    until(all_rotated, max(1.0, quiet_pair.began + TWO_ROTATIONS - time.monotonic()))
    serials = [one.serial for one in quiet_pair.rotations]
    assert len(serials) == len(set(serials))


def test_kube_proxy_programs_a_new_service_after_each_rotation(quiet_pair: QuietWatch) -> None:
    asked = [one for one in quiet_pair.rotations if one.kind == CLIENT]
    assert len(asked) >= 4
    until(lambda: all(one in quiet_pair.programmed for one in asked), PROXY_SECONDS + 30)
    assert {one.host: quiet_pair.programmed[one] for one in asked if quiet_pair.programmed[one] is None} == {}
    print(f"a new Service answered after {[round(quiet_pair.programmed[one] or 0) for one in asked]} s")


def test_exec_and_logs_worked_throughout(quiet_pair: QuietWatch) -> None:
    assert quiet_pair.failures == []
    # A look that hangs would make the others rare.
    assert quiet_pair.samples >= (time.monotonic() - quiet_pair.began) / (3 * SAMPLE_SECONDS)


def test_it_was_the_timer_that_approved(pair: LabCluster, quiet_pair: QuietWatch) -> None:
    granted = [name for name in serving_requests(pair) if name not in quiet_pair.requests]
    assert len(granted) >= sum(one.kind == SERVING for one in quiet_pair.rotations) >= 4
    log = "".join(pair.sh(host, "journalctl -u csr-approver.service --no-pager -o cat") for host in pair.control)
    assert [name for name in granted if f"/{name} approved" not in log] == []
    assert slipway_journal(pair) == quiet_pair.journal
