"""All sets of a tree against an API: what moved, what is unfinished, what sets that are gone have left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.admin import Signer
from fleet.api_gates import rolled_out
from fleet.cluster_client import OperatorApi
from fleet.gates import GateContext
from fleet.kube import Api
from fleet.object_prune import Difference
from fleet.object_sets import SET_LABEL, ObjectSet
from fleet.rendered_objects import RenderedObjects
from fleet.rollout import Watch
from fleet.tree import Phase, RenderedTree
from generator.errors import ApiError
from generator.formats.yaml_text import yaml_text
from tests.fleet.object_store import ObjectStore, Run, refusal
from tests.fleet.small_tree import write_tree
from tests.fleet.test_objects import CONFIG, DEPLOYMENT, value
from tests.fleet.test_rollout import node

PHASES: list[dict[str, Any]] = [
    {"name": "host-base", "batch": "all"},
    {"name": "binaries", "batch": "all"},
    {"name": "runtime", "batch": "all"},
    {"name": "network", "objects": ["10-network"]},
    {"name": "nodes", "roles": ["worker"], "join": {"kubeconfig": "/run/x", "clientCertificate": "/x"}},
    {"name": "addons", "objects": ["30-a", "40-b"]},
]
AGENT = value("DaemonSet", "agent", "kube-system", "apps/v1", spec={"selector": {"matchLabels": {"app": "agent"}}})


class Tree:
    """A tree whose sets a test writes anew."""

    def __init__(self, folder: Path) -> None:
        self.loaded = write_tree(folder, hosts={"n1": {"pool": "workers", "address": "10.0.0.1"}}, phases=PHASES)
        self.write(network=[AGENT], a=[CONFIG, DEPLOYMENT], b=[value("ConfigMap", "b", "x")])

    def write(self, **sets: list[dict[str, Any]]) -> None:
        names = {"network": "10-network", "a": "30-a", "b": "40-b"}
        for short, members in sets.items():
            folder = self.loaded.path / "objects" / names[short]
            folder.mkdir(parents=True, exist_ok=True)
            index = []
            for number, member in enumerate(members):
                labelled = {**member, "metadata": {**member["metadata"], "labels": {SET_LABEL: names[short]}}}
                (folder / f"{number}.yaml").write_text(yaml_text(labelled))
                place = {key: part for key, part in member["metadata"].items() if key in {"name", "namespace"}}
                index.append(
                    {"file": f"{number}.yaml", "apiVersion": member["apiVersion"], "kind": member["kind"], **place}
                )
            (folder / "index.yaml").write_text(yaml_text({"objects": index}))

    def rendered(self, api: Api, loaded: RenderedTree | None = None) -> RenderedObjects:
        return RenderedObjects(loaded or self.loaded, api, None, None)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture
def store() -> ObjectStore:
    return ObjectStore(node("w1"))


ADDONS = ("30-a", "40-b")


def told(changes: tuple[Any, ...]) -> list[tuple[str, str, str]]:
    return [(change.phase, change.action, change.name) for change in changes]


def test_a_second_apply_changes_nothing_and_an_unfinished_set_is_named_until_it_is_settled(
    run: Run, tree: Tree, store: ObjectStore
) -> None:
    async def action(api: Api) -> None:
        rendered = tree.rendered(api)
        heard: list[Any] = []
        assert {change.action for change in await rendered.apply(ADDONS, heard.append)} == {"create"}
        assert len(heard) == 3
        assert told(await rendered.changes(ADDONS)) == [
            ("addons", "unfinished", "objects of 30-a"), ("addons", "unfinished", "objects of 40-b"),
        ]  # fmt: skip
        assert all(change.needs_apply for change in await rendered.changes(ADDONS))
        await rendered.settled(ADDONS)
        store.asked.clear()
        assert await rendered.changes(ADDONS) == () and await rendered.apply(ADDONS) == ()
        await rendered.settled(ADDONS)
        assert store.asked == [], "what changes nothing writes nothing"
        assert await rendered.unaccepted(ADDONS) == ()

    run(action)


def test_an_object_that_moves_to_another_set_is_changed_and_not_deleted(
    run: Run, tree: Tree, store: ObjectStore
) -> None:
    async def action(api: Api) -> None:
        await tree.rendered(api).apply(ADDONS)
        await tree.rendered(api).settled(ADDONS)
        tree.write(a=[CONFIG], b=[value("ConfigMap", "b", "x"), DEPLOYMENT])
        moved = tree.rendered(api)
        assert told(await moved.changes(ADDONS)) == [("addons", "change", "Deployment x/a")]
        await moved.apply(ADDONS)
        assert not [one for one in store.asked if one.startswith("DELETE")]

    run(action)


def test_a_set_that_left_the_tree_is_deleted_with_the_last_set(run: Run, tree: Tree, store: ObjectStore) -> None:
    async def action(api: Api) -> None:
        await tree.rendered(api).apply(ADDONS)
        less = replace(tree.loaded, phases=(*tree.loaded.phases[:-1], Phase("addons", objects=("40-b",))))
        rendered = tree.rendered(api, less)
        await rendered.settled(("40-b",))
        assert told(await rendered.changes(("10-network",))) == [("network", "create", "DaemonSet kube-system/agent")]
        assert told(await rendered.changes(("40-b",))) == [
            ("removals", "delete", "Deployment x/a"), ("removals", "delete", "ConfigMap x/a"),
        ]  # fmt: skip
        assert len(await rendered.apply(("40-b",))) == 2
        assert await rendered.changes(("40-b",)) == ()

    run(action)


FORBIDDEN = refusal(403, 'User "slipway:ann@desk" cannot get resource', "Forbidden")


def test_a_new_cluster_is_planned_and_bound_and_then_needs_no_other_credentials(
    run: Run, tree: Tree, store: ObjectStore
) -> None:
    binding = {
        **value("ClusterRoleBinding", "slipway:admins", version="rbac.authorization.k8s.io/v1"),
        "subjects": [{"kind": "Group", "name": "slipway:admins"}],
    }
    tree.write(a=[binding, CONFIG])
    bound: list[str] = []

    async def action(api: Api) -> None:
        async def bind(one: ObjectSet) -> tuple[Difference, ...]:
            bound.append(one.name)
            store.refuse = lambda seen: None
            return (Difference(one.name, one.refs[0], "create"),)

        store.refuse = lambda seen: FORBIDDEN if "configmaps" in seen.target or "roleb" in seen.target else None
        rendered = RenderedObjects(tree.loaded, api, None, bind)
        assert {change.action for change in await rendered.changes(("30-a",))} == {"create"} and bound == []
        with pytest.raises(ApiError, match="cannot get"):
            await rendered.apply(("40-b",))
        assert bound == [], "a set without that binding is none for other credentials"
        await rendered.apply(("30-a",))
        assert bound == ["30-a"] and store.get("ConfigMap", "a", "x")

    run(action)


def test_the_gate_waits_for_the_workloads_of_its_phase(run: Run, tree: Tree, store: ObjectStore) -> None:
    async def action(api: Api) -> None:
        rendered = tree.rendered(api)
        await rendered.apply(ADDONS)
        found = await rendered.not_rolled_out(ADDONS, Watch())
        assert found == ("Deployment x/a: 0 of 1 replicas are of the newest kind",)

        async def cluster_api() -> Any:
            return rendered

        async def connect(_: str) -> Any:
            raise AssertionError("no host is asked")

        context = GateContext(tree.loaded, tree.loaded.phase("addons"), connect, cluster_api)
        assert await rolled_out(context, {}) == found[0]
        live = store.get("Deployment", "a", "x")
        live["status"] = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
        assert await rolled_out(context, {}) == ""

    run(action)


def test_only_daemons_of_phases_before_the_nodes_keep_a_node_waiting(tree: Tree, tmp_path: Path) -> None:
    tree.write(a=[{**AGENT, "metadata": {"name": "later", "namespace": "kube-system"}}])

    async def connect(_: str) -> Any:
        raise AssertionError("no host is asked")

    loaded = replace(tree.loaded, control_plane=({"host": "n1", "address": "10.0.0.1", "port": 6443},))
    made = OperatorApi(loaded, connect, Signer("demo", tmp_path))
    assert [str(ref) for ref in made._before_nodes] == ["DaemonSet kube-system/agent"]
