"""addons.diff: every set against the live cluster, with exit code, text and JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from fleet.objects_diff import ObjectsDiff, chosen_sets, diff_json, diff_lines, diff_run
from fleet.options import Options
from fleet.plan import ObjectChange
from fleet.reporter import SilentReporter
from fleet.standing import Fleet
from fleet.tree import RenderedTree
from generator.errors import SealingError, WorkspaceError
from generator.sealing import Identity
from tests.fleet.small_tree import write_tree
from tests.fleet.test_json_documents import printed, schema
from verbs import addons

PHASES: list[dict[str, Any]] = [
    {"name": "host-base", "batch": "all"},
    {"name": "binaries", "batch": "all"},
    {"name": "runtime", "batch": "all"},
    {"name": "network", "objects": ["10-network"]},
    {"name": "addons", "objects": ["30-coredns", "40-metrics-server"]},
]
CHANGED = ObjectChange("addons", "ConfigMap kube-system/coredns", "change", ("-  a: 1", "+  a: 2"))
LEFT = ObjectChange("removals", "Deployment x/old", "delete")


class Api:
    """Fills what addons.diff asks of the API."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.found: dict[str, tuple[ObjectChange, ...]] = {"30-coredns": (CHANGED,), "40-metrics-server": (LEFT,)}

    def admin_context(self) -> None:
        self.asked.append("certificate")

    async def object_changes(self, sets: Sequence[str]) -> tuple[ObjectChange, ...]:
        self.asked += sets
        return tuple(one for name in sets for one in self.found.get(name, ()))

    async def close(self) -> None:
        self.asked.append("closed")


@pytest.fixture
def tree(tmp_path: Path) -> RenderedTree:
    return write_tree(tmp_path, hosts={"n1": {"pool": "workers", "address": "10.0.0.1"}}, phases=PHASES)


def fleet_with(tree: RenderedTree, api: Api, kubeconfig: Path | None = None) -> Fleet:
    async def connect(_: object) -> Any:
        raise AssertionError("no host is asked")

    async def opened(_: object) -> Any:
        return api

    return Fleet(
        tree, tree.path, Options(kubeconfig=kubeconfig), SilentReporter(), connect, opened,
        lambda: Identity(Path("nowhere"), ()),
    )  # fmt: skip


def test_every_set_is_compared_and_hosts_are_not_asked(tree: RenderedTree) -> None:
    api = Api()
    found = asyncio.run(diff_run(fleet_with(tree, api)))
    assert api.asked == ["certificate", "10-network", "30-coredns", "40-metrics-server", "closed"]
    assert (found.needed, found.exit_code, found.left) == (True, 2, (LEFT,))
    assert [line.text for line in diff_lines(found)] == [
        "set 30-coredns", "  ~ ConfigMap kube-system/coredns", "      -  a: 1", "      +  a: 2", "",
        "left over", "  - Deployment x/old", "", "demo: 2 objects differ in 3 sets",
    ]  # fmt: skip
    jsonschema.validate(diff_json(found), schema("addons.diff"))


def test_sets_are_named_with_or_without_their_number(tree: RenderedTree) -> None:
    assert chosen_sets(tree, ("metrics-server", "10-network")) == ("10-network", "40-metrics-server")
    with pytest.raises(WorkspaceError, match="there is no set corends; it has 10-network, 30-coredns, 40-metrics"):
        chosen_sets(tree, ("corends",))
    api = Api()
    found = asyncio.run(diff_run(fleet_with(tree, api), ("metrics-server",)))
    assert found == ObjectsDiff("demo", {"40-metrics-server": ()}) and found.exit_code == 0
    assert [line.text for line in diff_lines(found)] == ["demo: no differences in 1 set"]


def test_a_kubeconfig_needs_no_identity(tree: RenderedTree) -> None:
    def nobody() -> Identity:
        raise SealingError("there is no identity here")

    api = Api()
    with pytest.raises(SealingError):
        asyncio.run(diff_run(replace(fleet_with(tree, api), identity=nobody)))
    assert api.asked == ["closed"]
    asyncio.run(diff_run(replace(fleet_with(tree, api, Path("k")), identity=nobody)))
    assert "certificate" not in api.asked


def test_the_verb_prints_what_the_schema_says(
    tree: RenderedTree, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, stand_in in (("place_of", str), ("require_current", lambda *_: None)):
        monkeypatch.setattr(addons, name, stand_in)
    monkeypatch.setattr(addons, "fleet_of", lambda *_, **__: fleet_with(tree, Api()))
    told = printed(capsys, addons.diff, cluster="demo")
    jsonschema.validate(told, schema("addons.diff"))
    assert told["needed"] and told["left"] == [{"name": "Deployment x/old", "action": "delete", "diff": []}]
    with pytest.raises(Exit) as caught:
        addons.diff(Context(), cluster="demo")
    assert caught.value.code == 2
    assert addons.diff(Context(), cluster="demo", set="network") is None, "exit 0"
