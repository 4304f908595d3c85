"""A worker that joins at its first boot: who may, by what token, and that no run of apply takes the token away."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet import tokens
from fleet.csr import listed_nodes
from fleet.kube import Ref
from fleet.tree import RenderedTree, load
from fleet.user_data import JOIN_STEPS, join_part, joining_phase, rehearsed, rendered_parts, user_data
from generator.errors import RefusedError, StaleTreeError
from generator.formats.cloud_config import Part
from generator.render.tree import write
from tests.render.user_data_of import case, locked, tree_of

NOW = datetime(2030, 5, 17, 12, 30, tzinfo=UTC)


class FakeApi:
    """The API as far as a join needs it: one ConfigMap, and the Secrets that were made."""

    def __init__(self, listed: dict[str, str]) -> None:
        self.listed = listed
        self.made: list[dict[str, Any]] = []
        self.deleted: list[str] = []

    async def find(self, ref: Ref) -> dict[str, Any] | None:
        assert (ref.kind, ref.namespace, ref.name) == ("ConfigMap", "kube-system", "slipway-nodes")
        return {"data": self.listed}

    async def apply(self, value: dict[str, Any]) -> None:
        self.made.append(value)

    async def list(self, api_version: str, kind: str, namespace: str, *, labels: str) -> list[dict[str, Any]]:
        key, _, value = labels.partition("=")
        return [one for one in self.made if one["metadata"]["labels"].get(key) == value]

    async def delete(self, ref: Ref) -> None:
        self.deleted.append(ref.name)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> RenderedTree:
    folder = tmp_path_factory.mktemp("tree") / "rendered"
    model = case("minimal")
    write(tree_of(model, locked(model)), folder)
    return load(folder)


def part_for(tree: RenderedTree, api: FakeApi, minutes: int = 30) -> Part:
    lifetime = timedelta(minutes=minutes)
    return asyncio.run(
        join_part(api, tree, tree.hosts["w1"], lifetime=lifetime, now=lambda: NOW)  # type: ignore[arg-type]
    )


def test_the_part_holds_a_token_of_its_own_and_starts_what_waited(tree: RenderedTree) -> None:
    api = FakeApi(dict(listed_nodes(tree.path)))
    part = part_for(tree, api)
    (made,) = api.made
    assert made["stringData"]["expiration"] == "2030-05-17T13:00:00Z"
    assert made["metadata"]["labels"] == {"slipway.io/join": "first-boot"}
    written = {one["path"]: one for one in yaml.safe_load(f"write_files:\n{part.files}")["write_files"]}
    kubeconfig = written["/run/slipway/bootstrap-kubelet.kubeconfig"]
    token = yaml.safe_load(kubeconfig["content"])["users"][0]["user"]["token"]
    assert token == f"{made['stringData']['token-id']}.{made['stringData']['token-secret']}"
    assert kubeconfig["permissions"] == "0600" and "SECRET until 2030-05-17 13:00 UTC" in part.comments[0]
    steps = [line.split("\t") for line in written[JOIN_STEPS]["content"].splitlines()]
    assert [step[1:] for step in steps] == [
        ["enable", "kube-proxy.path"], ["enable", "kube-proxy.service"], ["enable", "kubelet.service"],
        ["start", "slipway-join.path"], ["start", "kube-proxy.path"], ["start", "kubelet.service"],
    ]  # fmt: skip
    # All of it lies in memory, and what the join needs no more goes after it.
    assert all(path.startswith("/run/") for path in written)
    service = written["/run/systemd/system/slipway-join.service"]["content"]
    assert "ExecStart=/bin/rm -f /run/slipway/bootstrap-kubelet.kubeconfig" in service


def test_what_is_rehearsed_is_as_long_as_what_a_token_makes_of_it(tree: RenderedTree) -> None:
    host = tree.hosts["w1"]
    real = user_data(tree, host, part_for(tree, FakeApi(dict(listed_nodes(tree.path)))))
    assert len(rehearsed(tree, host)) == len(real)


def test_a_run_deletes_its_own_tokens_and_not_that_of_a_host_that_boots(tree: RenderedTree) -> None:
    api = FakeApi(dict(listed_nodes(tree.path)))
    part_for(tree, api)
    own = asyncio.run(tokens.create(api, ["w1"], now=lambda: NOW))  # type: ignore[arg-type]
    assert asyncio.run(tokens.sweep(api)) == 1  # type: ignore[arg-type]
    assert api.deleted == [own.ref.name]


def test_a_node_that_the_api_does_not_list_gets_no_token(tree: RenderedTree) -> None:
    api = FakeApi({})
    with pytest.raises(RefusedError, match=r"minimal/w1: .*slipway-nodes.*invoke apply --phase cluster-rbac"):
        part_for(tree, api)
    assert not api.made


@pytest.mark.parametrize("minutes", [1, 300])
def test_a_token_of_a_senseless_life_is_refused(tree: RenderedTree, minutes: int) -> None:
    with pytest.raises(RefusedError, match="5 to 240 minutes"):
        part_for(tree, FakeApi(dict(listed_nodes(tree.path))), minutes)


@pytest.mark.parametrize(
    ("name", "host", "lock", "said"),
    [
        ("minimal", "cp1", True, "only a worker joins by itself"),
        ("minimal", "cp1", True, "it is to have secrets"),
        ("minimal", "w1", False, "is not locked; run `invoke lock`"),
        ("kube-proxy-certificate", "w1", True, "it is to have secrets"),
    ],
)
def test_who_cannot_join_is_told_why(tmp_path: Path, name: str, host: str, lock: bool, said: str) -> None:
    model = case(name)
    write(tree_of(model, locked(model) if lock else None), tmp_path / "rendered")
    found = load(tmp_path / "rendered")
    with pytest.raises(RefusedError, match=said):
        joining_phase(found, found.hosts[host])


def test_a_tree_without_user_data_or_with_an_edited_one_is_named(tree: RenderedTree, tmp_path: Path) -> None:
    model = case("minimal")
    write(tree_of(model), tmp_path / "rendered")
    found = load(tmp_path / "rendered")
    (tmp_path / "rendered/hosts/w1/user-data").write_text("#cloud-config\nhostname: other\n")
    with pytest.raises(StaleTreeError, match="hosts/w1/user-data cannot be read"):
        rendered_parts(found, found.hosts["w1"])
    (tmp_path / "rendered/cloud-init/workers.yaml").unlink()
    with pytest.raises(RefusedError, match="section cloudInit"):
        rendered_parts(found, found.hosts["w1"])
