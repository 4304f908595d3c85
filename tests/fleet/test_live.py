"""The proof before a step of a rotation: every API server runs with what is rendered, or the host is named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.live import API_SERVER, not_live, require_live, unit_flags
from fleet.session import Session
from fleet.state import HostState, Owned, PathFacts, UnitFacts
from fleet.tree import RenderedTree
from generator.errors import RefusedError
from tests.fleet.local_host import LocalHosts
from tests.fleet.small_tree import write_tree

CONFIG = "/etc/kubernetes/encryption.yaml"
UNIT_FILE = f"/etc/systemd/system/{API_SERVER}"
SERVER = """[Service]
ExecStart=/usr/local/bin/kube-apiserver \\
  --encryption-provider-config=/etc/kubernetes/encryption.yaml \\
  --service-account-key-file=/etc/kubernetes/pki/sa.pub \\
  --service-account-key-file=/etc/kubernetes/pki/sa-2.pub \\
  --v=2
"""
FILE = {"kind": "file", "mode": "0644", "owner": "root", "group": "root", "phase": "control-plane"}
ITEMS: list[dict[str, Any]] = [
    {"path": CONFIG, **FILE, "secrets": {"encryption/1": "0" * 16}, "restarts": [API_SERVER]},
    {"path": UNIT_FILE, **FILE, "restarts": [API_SERVER]},
    {"name": API_SERVER, "kind": "unit", "phase": "control-plane"},
]
CONTENTS = {CONFIG: "secret: '{{secret:encryption/1}}'\n", UNIT_FILE: SERVER}
POOLS = {
    "control": {
        "roles": ["etcd", "control-plane"], "components": ["idle"], "os": "debian-12", "arch": "amd64",
        "maxUnavailable": "1",
    },
}  # fmt: skip
PHASES = [
    {"name": "host-base", "batch": "all", "gates": []},
    {"name": "control-plane", "batch": "one", "roles": ["control-plane"], "gates": []},
]


@pytest.fixture
def tree(tmp_path: Path) -> RenderedTree:
    hosts = {f"cp{n}": {"pool": "control", "address": f"10.0.0.{n}"} for n in (1, 2, 3)}
    return write_tree(tmp_path, hosts=hosts, items=ITEMS, contents=CONTENTS, phases=PHASES, pools=POOLS)


def as_rendered(tree: RenderedTree) -> HostState:
    """Return the answer of a host that runs with the tree."""
    host = tree.hosts["cp1"]
    paths, owned = {}, {}
    for item in host.items:
        owned[item.key] = Owned(item.kind, item.phase, item.component, item.content_id)
        if item.path:
            digest = "" if item.is_secret else item.content_id
            paths[item.path] = PathFacts("file", "0644", "root", "root", digest, "", True)
    units = {API_SERVER: UnitFacts("loaded", "active", "running", "enabled")}
    return HostState("cp1", phases=dict(host.phase_digests), paths=paths, owned=owned, units=units)


def found(tree: RenderedTree, state: HostState) -> str:
    return not_live(tree, tree.hosts["cp1"], state, (CONFIG,), (API_SERVER,))


def test_a_host_as_rendered_is_live(tree: RenderedTree) -> None:
    assert found(tree, as_rendered(tree)) == ""


def without(state: HostState, path: str) -> HostState:
    return replace(state, paths={key: facts for key, facts in state.paths.items() if key != path})


def old_key(state: HostState) -> HostState:
    record = replace(state.owned[CONFIG], id="t-of-the-step-before")
    return replace(state, owned={**state.owned, CONFIG: record})


def edited(state: HostState) -> HostState:
    return replace(state, paths={**state.paths, CONFIG: replace(state.paths[CONFIG], as_installed=False)})


def stopped(state: HostState) -> HostState:
    return replace(state, units={API_SERVER: UnitFacts("loaded", "inactive", "dead", "enabled")})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda state: without(state, CONFIG), f"{CONFIG} is not there"),
        (old_key, f"{CONFIG} is not as rendered"),
        (edited, f"{CONFIG} is not as rendered"),
        (lambda state: without(state, UNIT_FILE), f"{UNIT_FILE} is not there"),
        (lambda state: replace(state, pending={API_SERVER: "restart"}), f"{API_SERVER} is owed a restart"),
        (stopped, f"{API_SERVER} is inactive"),
        (lambda state: replace(state, units={}), f"{API_SERVER} is unknown"),
        (lambda state: replace(state, phases={}), "phase control-plane was not applied to its end as it is rendered"),
        (lambda state: replace(state, underway=True), "a change has begun there and not ended"),
    ],
)
def test_each_lack_is_told(tree: RenderedTree, spoil: Callable[[HostState], HostState], reason: str) -> None:
    assert found(tree, spoil(as_rendered(tree))).startswith(reason)


def test_what_a_host_is_not_to_have_is_never_live(tree: RenderedTree) -> None:
    reason = not_live(tree, tree.hosts["cp1"], as_rendered(tree), ("/etc/kubernetes/pki/sa-2.pub",), ())
    assert reason == "/etc/kubernetes/pki/sa-2.pub is not among what it is to have"


def test_every_host_that_lacks_something_is_named(tree: RenderedTree, tmp_path: Path) -> None:
    hosts = LocalHosts(tmp_path / "hosts")
    hosts[tree.hosts["cp2"].name].reachable = False

    async def ask() -> None:
        session = Session(tree, hosts.connect)
        try:
            await require_live(session, (CONFIG,), (API_SERVER,), "encryption/2 becomes the writer")
        finally:
            await session.close()

    with pytest.raises(RefusedError) as caught:
        asyncio.run(ask())
    text = str(caught.value)
    assert text.startswith("demo: encryption/2 becomes the writer only when every API server runs with the tree")
    assert f"\n  cp1: {CONFIG} is not there\n" in text and f"\n  cp3: {CONFIG} is not there\n" in text
    assert "\n  cp2: it does not answer (demo/cp2: ssh: it cannot be reached" in text
    assert "run `invoke apply --cluster demo`" in text


def test_flags_of_a_unit_keep_all_their_values(tree: RenderedTree) -> None:
    flags = unit_flags(tree.hosts["cp1"], API_SERVER)
    assert flags["service-account-key-file"] == ("/etc/kubernetes/pki/sa.pub", "/etc/kubernetes/pki/sa-2.pub")
    assert flags["encryption-provider-config"] == (CONFIG,) and flags["v"] == ("2",)
    assert unit_flags(tree.hosts["cp1"], "etcd.service") == {}
