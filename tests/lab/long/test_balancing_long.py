"""The ways into the API that the shorter session leaves out, each with the loss of a control-plane host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab.cluster_under_test import LabCluster, until
from tests.lab.test_drift import apply
from tests.lab.test_firewall import lab_side, managed
from tests.lab.ways import CONTROL, EXTERNAL, EXTERNAL_PORT, MODES, NODES, carriers, clean, survives, switched

pytestmark = pytest.mark.lab_long

SHORTER = "virtual address alone"
ALONE, ADDRESS = MODES[SHORTER]


@pytest.fixture(scope="module", autouse=True)
def the_default_afterwards(lab: LabCluster) -> Iterator[None]:
    yield
    lab.edit_spec(lambda spec: spec.pop("firewall", None))
    switched(lab, {})
    assert lab.all_ready()


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != SHORTER])
def test_each_mode_carries_traffic_and_survives_a_control_plane_host(lab: LabCluster, mode: str) -> None:
    survives(lab, *MODES[mode])


@contextmanager
def balancer_of_somebody_else(lab: LabCluster) -> Iterator[str]:
    """An haproxy in front of the API servers that Slipway knows by its address alone; yields address and port."""
    servers = "".join(f"    server {host} {lab.addresses[host]}:6443 check\n" for host in CONTROL)
    text = (
        "defaults\n    mode tcp\n    timeout connect 1s\n    timeout client 1h\n    timeout server 1h\n"
        f"listen api\n    bind *:{EXTERNAL_PORT}\n{servers}"
    )
    lab.sh(EXTERNAL, f"printf '%s' '{text}' >/run/external.cfg")
    lab.sh(EXTERNAL, "systemd-run --quiet --collect --unit=external haproxy -db -f /run/external.cfg")
    try:
        yield f"{lab.addresses[EXTERNAL]}:{EXTERNAL_PORT}"
    finally:
        lab.sh(EXTERNAL, "systemctl stop external")


def test_an_external_balancer_carries_traffic_and_survives_a_control_plane_host(lab: LabCluster) -> None:
    with balancer_of_somebody_else(lab) as way:
        endpoint = {"host": lab.addresses[EXTERNAL], "port": EXTERNAL_PORT}
        try:
            survives(lab, {"balancer": "none", "nodesUse": "endpoint", "endpoint": endpoint}, way)
        finally:
            # Nodes that go by it would lose the API with it.
            switched(lab, {})


def test_a_virtual_address_stands_behind_a_managed_firewall_and_goes_again(lab: LabCluster) -> None:
    side = f"{lab_side(lab)}/32"
    lab.edit_spec(managed(side))
    survives(lab, ALONE, ADDRESS)
    (carrier,) = carriers(lab, *CONTROL)
    lab.sh(carrier, "systemctl stop endpoint-balancer")
    try:
        until(lambda: carriers(lab, *CONTROL) not in ([], [carrier]), 30)
        assert lab.kubectl("get", "--raw", "/readyz") == "ok"
    finally:
        lab.sh(carrier, "systemctl start endpoint-balancer")
    switched(lab, {})
    clean(lab, {})
    # What stands before the API servers themselves is the firewall's for good.
    ways = {host: lab.sh(host, "ls /etc/slipway | grep way-in || true").split() for host in NODES}
    own = ["way-in-kube-apiserver-6443.nft"]
    assert ways == {host: own if host in CONTROL else [] for host in NODES}
    done = lab.invoke("verify")
    assert done.returncode == 0, done.stdout + done.stderr

    def kept(spec: dict[str, Any]) -> None:
        spec.pop("firewall", None)

    lab.edit_spec(kept)
    assert lab.invoke("render").returncode == 0
    lab.commit("no firewall")
    apply(lab)
