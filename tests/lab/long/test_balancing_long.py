"""The ways into the API that the shorter session leaves out, each with the loss of a control-plane host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.cluster_under_test import LabCluster
from tests.lab.ways import MODES, survives, switched

pytestmark = pytest.mark.lab_long

SHORTER = ("haproxy at localhost:6443", "virtual address alone")


@pytest.fixture(scope="module", autouse=True)
def the_default_afterwards(lab: LabCluster) -> Iterator[None]:
    yield
    switched(lab, {})
    assert lab.all_ready()


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in SHORTER])
def test_each_mode_carries_traffic_and_survives_a_control_plane_host(lab: LabCluster, mode: str) -> None:
    survives(lab, mode)
