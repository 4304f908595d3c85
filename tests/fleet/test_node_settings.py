"""Labels and taints of a node: what is ours follows the inventory, what is of others stays."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.node_settings import MANAGED, node_change

MARK = '{"labels":["app"],"taints":["app:NoSchedule"]}'
APP = {"key": "app", "value": "ci", "effect": "NoSchedule"}
CORDON = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def node(labels: dict[str, str], taints: list[dict[str, str]], mark: str = MARK) -> dict[str, Any]:
    metadata = {"name": "w1", "resourceVersion": "7", "labels": labels, "annotations": {MANAGED: mark} if mark else {}}
    return {"metadata": metadata, "spec": {"taints": taints}}


def test_nothing_to_do() -> None:
    assert node_change(node({"app": "ci", "own": "x"}, [CORDON, APP]), {"app": "ci"}, [APP]) is None


def test_a_label_that_left_is_taken_away_only_if_it_was_ours() -> None:
    change = node_change(node({"app": "ci", "own": "x"}, [APP]), {}, [APP])
    assert change is not None and change.lines == ("-label app=ci",)
    assert change.patch["metadata"]["labels"] == {"app": None}
    assert change.patch["metadata"]["resourceVersion"] == "7"
    assert change.patch["metadata"]["annotations"] == {MANAGED: '{"labels":[],"taints":["app:NoSchedule"]}'}
    assert "spec" not in change.patch


def test_a_taint_changes_its_value_in_place_and_others_stay() -> None:
    change = node_change(node({"app": "ci"}, [APP, CORDON]), {"app": "ci"}, [{**APP, "value": "build"}])
    assert change is not None
    assert change.lines == ("-taint app=ci:NoSchedule", "+taint app=build:NoSchedule")
    assert change.patch["spec"]["taints"] == [{**APP, "value": "build"}, CORDON]


def test_the_same_key_with_another_effect_is_another_taint() -> None:
    theirs = {"key": "app", "effect": "NoExecute"}
    change = node_change(node({"app": "ci"}, [APP, theirs]), {"app": "ci"}, [])
    assert change is not None and change.patch["spec"]["taints"] == [theirs]


def test_a_new_node_gets_its_mark_and_then_rests() -> None:
    change = node_change(node({"app": "ci"}, [APP], mark=""), {"app": "ci"}, [APP])
    assert change is not None and change.lines == (f"+annotation {MANAGED}",)
    assert change.patch["metadata"]["annotations"] == {MANAGED: MARK}


@pytest.mark.parametrize("mark", ["nonsense", "[]", '{"labels": 3}', "null"])
def test_a_damaged_mark_takes_nothing_away(mark: str) -> None:
    change = node_change(node({"app": "ci", "own": "x"}, [APP, CORDON], mark=mark), {}, [])
    assert change is not None and change.lines == (f"+annotation {MANAGED}",)
    assert set(change.patch) == {"metadata"}


def test_an_empty_label_value_is_a_value() -> None:
    change = node_change(node({"app": "ci"}, [APP]), {"app": "ci", "node-role.kubernetes.io/worker": ""}, [APP])
    assert change is not None and change.lines == ("+label node-role.kubernetes.io/worker=",)
