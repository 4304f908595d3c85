"""Hosts that go down for a reboot one at a time, drained and gated, and a run that dies while one is away.

The hosts of a lab run the machine's kernel, so they are named: what changes with a reboot is the boot alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.lab import faults
from tests.lab.cluster_under_test import LabCluster, until
from tests.lab.faults import QUICK, Running
from tests.lab.load import writing
from tests.lab.test_rolling import CONTROL, GAP_SECONDS, events, lost
from tests.lab.test_survival import healthy, serving

pytestmark = pytest.mark.lab

IN_HAND = "ls /var/lib/slipway/cordoned /var/lib/slipway/rebooting 2>/dev/null"
MOVING = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "moving"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "moving"}},
        "template": {
            "metadata": {"labels": {"app": "moving"}},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                # It starts on w2 and is not brought back there by anybody.
                "affinity": {
                    "nodeAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {
                                "weight": 100,
                                "preference": {
                                    "matchExpressions": [
                                        {"key": "kubernetes.io/hostname", "operator": "In", "values": ["w2"]}
                                    ]
                                },
                            }
                        ]
                    }
                },
                "containers": [
                    {
                        "name": "moving",
                        "image": "slipway.lab/busybox:1",
                        "imagePullPolicy": "Never",
                        "command": ["/bin/busybox", "sleep", "100000"],
                    }
                ],
            },
        },
    },
}


@pytest.fixture(scope="module", autouse=True)
def undrainable_gone(lab: LabCluster) -> None:
    """Pods of earlier modules without a controller keep a node from being drained, and a host not as rendered stays."""
    for pod in lab.kubectl_json("get", "pods", "-A")["items"]:
        meta = pod["metadata"]
        if not meta.get("ownerReferences"):
            lab.kubectl("delete", "pod", "-n", meta["namespace"], meta["name"], "--wait=true", "--timeout=60s")
    if lab.invoke("plan").returncode:
        done = lab.invoke("apply", "--yes", "--source", str(lab.artifacts))
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    yield
    faults.end_all()


def boot_of(lab: LabCluster, host: str) -> str:
    return lab.try_sh(host, "cat /proc/sys/kernel/random/boot_id").stdout.strip()


def node(lab: LabCluster, name: str) -> dict[str, Any]:
    found: dict[str, Any] = lab.kubectl_json("get", "node", name)
    return found


def in_service(lab: LabCluster, name: str) -> bool:
    """Whether a node is Ready from its present boot, takes pods, and no run has it in hand."""
    found = node(lab, name)
    ready = {one["type"]: one["status"] for one in found["status"]["conditions"]}["Ready"]
    return (
        ready == "True"
        and not found["spec"].get("unschedulable")
        and "slipway.io/cordoned" not in found["metadata"].get("annotations", {})
        and found["status"]["nodeInfo"]["bootID"] == boot_of(lab, name)
        and not lab.try_sh(name, IN_HAND).stdout
    )


def moving_pod(lab: LabCluster) -> tuple[str, bool]:
    """The node of the Deployment's pod, and whether it is Ready there."""
    pods = [
        pod
        for pod in lab.kubectl_json("get", "pods", "-l", "app=moving")["items"]
        if not pod["metadata"].get("deletionTimestamp")
    ]
    if len(pods) != 1:
        return "", False
    ready = {one["type"]: one["status"] for one in pods[0]["status"].get("conditions", ())}.get("Ready")
    return str(pods[0]["spec"].get("nodeName", "")), ready == "True"


def test_a_worker_goes_down_drained_and_comes_back_into_service(lab: LabCluster) -> None:
    lab.kubectl("apply", stdin=yaml.safe_dump(MOVING))
    try:
        until(lambda: moving_pod(lab) == ("w2", True), 60)
        before = {host: boot_of(lab, host) for host in ("w1", "w2")}
        done = lab.invoke("hosts.reboot", "--limit", "w2", "--yes", "--json", environment=QUICK)
        assert done.returncode == 0, done.stdout + done.stderr
        steps = [event["text"] for event in events(done.stdout) if event["event"] == "host"]
        assert steps[:2] == ["drained first", "reboots"] and steps[2].startswith("back in service")
        assert boot_of(lab, "w2") not in {before["w2"], ""} and boot_of(lab, "w1") == before["w1"]
        assert moving_pod(lab) == ("w1", True), "it moved before the host went down"
        assert in_service(lab, "w2")
    finally:
        lab.kubectl("delete", "deployment", "moving", "--wait=true")
    idle = lab.invoke("hosts.reboot", "--yes")
    assert idle.returncode == 0 and "nothing to do" in idle.stderr, idle.stdout + idle.stderr
    dry = lab.invoke("hosts.reboot", "--dry-run", "--json")
    assert dry.returncode == 0 and not json.loads(dry.stdout)["needed"]
    assert lab.invoke("plan").returncode == 0


@pytest.mark.lab_long
def test_a_control_plane_host_goes_down_and_no_acknowledged_write_is_lost(lab: LabCluster) -> None:
    before = {host: boot_of(lab, host) for host in CONTROL}
    with writing(lab, through="w1") as seen:
        done = lab.invoke("hosts.reboot", "--limit", "cp2", "--yes", "--json", environment=QUICK)
    print(f"\nreboot of cp2: {seen.words}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [host for host in CONTROL if boot_of(lab, host) != before[host]] == ["cp2"]
    assert in_service(lab, "cp2") and healthy(lab, *CONTROL) and serving(lab, *CONTROL)
    assert len(seen.acknowledged) > 50 and not lost(lab, seen)
    assert seen.longest_gap < GAP_SECONDS


def test_a_run_that_dies_while_a_host_is_away_is_taken_up_without_another_reboot(lab: LabCluster) -> None:
    before = boot_of(lab, "w2")
    run = Running(lab, "hosts.reboot", "--limit", "w2", "--yes")
    until(lambda: boot_of(lab, "w2") != before, 90)
    run.power_off()
    until(lambda: boot_of(lab, "w2") not in {before, ""}, 120)
    boot = boot_of(lab, "w2")
    assert node(lab, "w2")["spec"].get("unschedulable"), "nobody has let it go"
    assert lab.sh("w2", "cat /var/lib/slipway/rebooting").strip() == before
    status = lab.invoke("status", "--json")
    assert "a run has cordoned its node" in status.stdout
    again = lab.invoke("hosts.reboot", "--limit", "w2", "--yes", environment=QUICK)
    assert again.returncode == 0, again.stdout + again.stderr
    assert boot_of(lab, "w2") == boot and in_service(lab, "w2")
    assert lab.invoke("plan").returncode == 0
