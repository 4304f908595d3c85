"""Ways into the API on real hosts: each carries traffic, survives a control-plane host, and leaves nothing behind.

Node-local nginx, the default, is what all other modules go through; test_cluster stops a control-plane host under it.
What is not tried here is in long/test_balancing_long.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.lab.cluster_under_test import LabCluster, until
from tests.lab.load import stored, writing
from tests.lab.ways import (
    CONTROL,
    GAP_SECONDS,
    LOCAL,
    MODES,
    NODES,
    VIP,
    VIP_PORT,
    carriers,
    clean,
    switched,
    without,
)

pytestmark = pytest.mark.lab

ALONE = MODES["virtual address alone"][0]
ADDRESS = f"{VIP}:{VIP_PORT}"


@pytest.fixture(scope="module", autouse=True)
def the_default_afterwards(lab: LabCluster) -> Iterator[None]:
    yield
    if lab.changed("clusters") or "api:" in (lab.inputs / "cluster.yaml").read_text():
        switched(lab, {})
    assert lab.all_ready()


def test_from_node_local_to_the_virtual_address_no_acknowledged_write_is_lost(lab: LabCluster) -> None:
    with writing(lab, through="w1", ways=[LOCAL, ADDRESS]) as seen:
        switched(lab, ALONE)
        clean(lab, ALONE)
    assert len(seen.acknowledged) > 100
    assert not set(seen.acknowledged) - stored(lab), "an acknowledged write is lost"
    assert seen.longest_gap < GAP_SECONDS


def test_the_virtual_address_moves_when_its_balancer_ends_and_does_not_move_back(lab: LabCluster) -> None:
    (first,) = carriers(lab, *CONTROL)
    with writing(lab, through="w1", ways=[ADDRESS]) as seen:
        # The balancer ends, not keepalived: the check has to notice.
        lab.sh(first, "systemctl stop endpoint-balancer")
        until(lambda: len(carriers(lab, *CONTROL)) == 1 and carriers(lab, *CONTROL) != [first], 30)
        (second,) = carriers(lab, *CONTROL)
        lab.sh(first, "systemctl start endpoint-balancer")
        time.sleep(15)
        assert carriers(lab, *CONTROL) == [second], "a host that comes back waits"
    assert not set(seen.acknowledged) - stored(lab)
    assert seen.longest_gap < GAP_SECONDS


def test_the_virtual_address_survives_the_host_that_carries_it(lab: LabCluster) -> None:
    (first,) = carriers(lab, *CONTROL)
    others = [host for host in CONTROL if host != first]
    with writing(lab, through="w1", ways=[ADDRESS]) as seen:
        with without(lab, first):
            until(lambda: len(carriers(lab, *others)) == 1, 30)
            time.sleep(10)
        until(lambda: lab.all_ready(NODES), 60)
    assert len(seen.acknowledged) > 100
    assert not set(seen.acknowledged) - stored(lab), "an acknowledged write is lost"
    assert seen.longest_gap < GAP_SECONDS


def test_from_the_virtual_address_back_to_node_local_no_acknowledged_write_is_lost(lab: LabCluster) -> None:
    with writing(lab, through="w1", ways=[ADDRESS, LOCAL]) as seen:
        switched(lab, {})
        clean(lab, {})
    assert len(seen.acknowledged) > 100
    assert not set(seen.acknowledged) - stored(lab), "an acknowledged write is lost"
    assert seen.longest_gap < GAP_SECONDS
    assert carriers(lab, *CONTROL) == []
