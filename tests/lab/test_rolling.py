"""Changes that roll over three control-plane hosts while a client writes, and one that must not get past the first."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab.cluster_under_test import LabCluster
from tests.lab.load import Seen, stored, writing

pytestmark = pytest.mark.lab

CONTROL = ("cp1", "cp2", "cp3")
GAP_SECONDS = 30
"""No client that tries again for as long may see the change at all; what was measured is printed."""


def flag(component: str, name: str, value: object) -> Callable[[dict[str, Any]], None]:
    """A change of the spec: one flag for the whole cluster; None takes it back."""

    def change(spec: dict[str, Any]) -> None:
        flags = spec.setdefault("components", {}).setdefault(component, {}).setdefault("flags", {})
        if value is None:
            flags.pop(name)
        else:
            flags[name] = value

    return change


def raised(component: str, name: str, start: int) -> Callable[[dict[str, Any]], None]:
    """A change of the spec: one number of a flag more than it has, so that there is always something to roll."""

    def change(spec: dict[str, Any]) -> None:
        flags = spec.get("components", {}).get(component, {}).get("flags", {})
        flag(component, name, int(flags.get(name, start)) + 1)(spec)

    return change


def rendered(lab: LabCluster, change: Callable[[dict[str, Any]], None]) -> None:
    lab.edit_spec(change)
    done = lab.invoke("render")
    assert done.returncode == 0, done.stdout + done.stderr


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def batches(text: str, phase: str) -> list[list[str]]:
    return [one["names"] for one in events(text) if one["event"] == "batch" and one["phase"] == phase]


def lost(lab: LabCluster, seen: Seen) -> set[int]:
    return set(seen.acknowledged) - stored(lab)


def own_exits(component: str) -> set[tuple[str, str]]:
    """Units that may have ended by themselves: who leads through an API server that stops loses the lease and exits."""
    followers = ("kube-controller-manager.service", "kube-scheduler.service") if component == "kube-apiserver" else ()
    return {(host, unit) for host in CONTROL for unit in followers}


@pytest.mark.parametrize(
    ("component", "phase", "name", "start"),
    [
        ("kube-apiserver", "control-plane", "max-requests-inflight", 800),
        ("etcd", "etcd", "snapshot-count", 20000),
    ],
)
def test_a_flag_rolls_host_by_host_and_no_acknowledged_write_is_lost(
    lab: LabCluster, component: str, phase: str, name: str, start: int
) -> None:
    rendered(lab, raised(component, name, start))
    before = lab.unit_starts(CONTROL)
    with writing(lab, through="w1") as seen:
        done = lab.invoke("apply", "--yes", "--json")
    print(f"\n{component}: {seen.words}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(batches(done.stdout, phase)) == [[host] for host in CONTROL], "one host at a time"
    after = lab.unit_starts(CONTROL)
    restarted = {unit for unit in before if before[unit] != after[unit]} - own_exits(component)
    assert restarted == {(host, f"{component}.service") for host in CONTROL}
    assert len(seen.acknowledged) > 100
    assert not lost(lab, seen)
    assert seen.longest_gap < GAP_SECONDS
    lab.commit(f"{component} {name}")


@pytest.mark.parametrize(
    ("component", "phase", "name"),
    [
        ("kube-apiserver", "control-plane", "audit-log-format"),
        pytest.param("etcd", "etcd", "auto-compaction-mode", marks=pytest.mark.lab_long),
    ],
)
def test_a_bad_flag_stops_at_the_first_host_and_the_mended_spec_goes_in(
    lab: LabCluster, component: str, phase: str, name: str
) -> None:
    rendered(lab, flag(component, name, "nonsense"))
    before = lab.unit_starts(CONTROL)
    with writing(lab, through="w1") as seen:
        refused = lab.invoke("apply", "--yes", "--json")
        assert refused.returncode == 1, refused.stdout + refused.stderr
        stopped_at = batches(refused.stdout, phase)
        assert len(stopped_at) == 1 and len(stopped_at[0]) == 1, "nothing follows the first host"
        first = stopped_at[0][0]
        assert f"{lab.name}/{first}: {phase}" in refused.stderr
        assert "nonsense" in refused.stderr, "the unit's own words say what it does not like"
        after = lab.unit_starts(CONTROL)
        touched = {unit for unit in before if before[unit] != after[unit]} - own_exits(component)
        assert touched <= {(first, f"{component}.service")}, "the others are as they were"
        rendered(lab, flag(component, name, None))
        mended = lab.invoke("apply", "--yes", "--json")
        assert mended.returncode == 0, mended.stdout + mended.stderr
    print(f"\nbad {component} flag: {seen.words}")
    assert not lost(lab, seen)
    assert seen.longest_gap < GAP_SECONDS
    assert lab.invoke("plan").returncode == 0
    for host in CONTROL:
        assert lab.kubectl("get", "--raw", "/readyz", f"--server=https://{lab.addresses[host]}:6443") == "ok"
