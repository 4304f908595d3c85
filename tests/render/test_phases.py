"""phases.yaml: gates about objects stand where a phase has objects, and nowhere else."""

from __future__ import annotations

from typing import Any

import yaml

from generator.render.phases_page import phases_text
from tests.components.sample import sample_cluster


def gates_of(*sets: str, used: tuple[str, ...] = ()) -> dict[str, list[dict[str, Any]]]:
    document = yaml.safe_load(phases_text(sample_cluster("1.30"), used, sets))
    return {phase["name"]: phase.get("gates", []) for phase in document["phases"]}


ACCEPTED, ROLLED_OUT, UNITS = {"kind": "accepted"}, {"kind": "rolled-out", "timeout": 300}, {"kind": "units"}


def test_addons_and_the_network_are_waited_for() -> None:
    found = gates_of("00-cluster-rbac", "10-network", "30-coredns")
    assert found["cluster-rbac"] == [ACCEPTED]
    assert found["network"] == [ACCEPTED, ROLLED_OUT]
    assert found["addons"] == [ACCEPTED, ROLLED_OUT]


def test_a_network_of_units_has_no_objects_to_wait_for() -> None:
    assert gates_of("00-cluster-rbac", used=("network",))["network"] == [UNITS]
    both = gates_of("00-cluster-rbac", "10-network", used=("network",))["network"]
    assert both == [UNITS, ACCEPTED, ROLLED_OUT]
    assert "addons" not in gates_of("00-cluster-rbac")
