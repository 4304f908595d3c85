"""The last object of an apply: what it holds, what it never holds, and when it is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet import cluster_record
from fleet.cluster_record import MOST_BYTES, Applied, Recorded, read, recorded_from, write
from fleet.kube import Api
from generator.render import object_secrets
from generator.spec import couplings_settings
from tests.fleet.api_stand_in import Pki
from tests.fleet.object_store import ObjectStore, with_store

APPLIED = Applied(
    tree="a" * 64, commit="b" * 40, clean=True, operator="ann@desk", time="2026-01-02T03:04:05+00:00", run="r1",
    command="invoke apply", stale=False, versions={"kubernetes": "1.30.1"}, spec="kind: Cluster\n",
    overrides="overrides: []\n", left_out=("w3",),
)  # fmt: skip


def test_it_says_which_tree_is_applied_by_whom(tmp_path: Path) -> None:
    store = ObjectStore()

    async def action(api: Api) -> None:
        assert await read(api) is None
        assert await write(api, APPLIED)
        found = await read(api)
        assert found == Recorded("a" * 64, "b" * 40, True, "ann@desk", APPLIED.time, "r1", ("w3",))
        assert found.words == "tree aaaaaaaaaaaa (commit bbbbbbbbbbbb)"

    with_store(Pki(), tmp_path, store, action)
    data = store.get("ConfigMap", "slipway-cluster", "kube-system")["data"]
    assert data["cluster.yaml"] == APPLIED.spec and data["overrides.yaml"] == APPLIED.overrides
    assert yaml.safe_load(data["versions.yaml"]) == {"kubernetes": "1.30.1"}


def test_the_same_tree_is_written_once(tmp_path: Path) -> None:
    store = ObjectStore()

    async def action(api: Api) -> None:
        assert await write(api, APPLIED)
        later = replace(APPLIED, time="2027-01-01T00:00:00+00:00", run="r2", operator="bob@desk")
        assert not await write(api, later)
        assert len(store.asked) == 1
        for other in (
            replace(later, tree="c" * 64), replace(later, commit="no git"), replace(later, clean=False),
            replace(later, left_out=()),
        ):  # fmt: skip
            assert await write(api, other)

    with_store(Pki(), tmp_path, store, action)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("key: |\n  -----BEGIN EC PRIVATE" + " KEY-----\n", "it holds the marker of a private key"),
        ("age: AGE-SECRET" + "-KEY-1QQQQ\n", "it holds the marker of a private key"),
        ("# " + "x" * MOST_BYTES + "\n", "it is too large: 900 KiB, 900 at most"),
    ],
)
def test_a_spec_that_must_not_or_cannot_go_in_is_left_out_and_named(spec: str, why: str) -> None:
    data = replace(APPLIED, spec=spec).data
    assert "cluster.yaml" not in data and data["overrides.yaml"] == APPLIED.overrides
    assert yaml.safe_load(data["apply.yaml"])["notHere"] == {"cluster.yaml": why}
    assert "notHere" not in yaml.safe_load(APPLIED.data["apply.yaml"])


def test_overrides_that_are_too_large_are_left_out_too() -> None:
    data = replace(APPLIED, spec="x" * MOST_BYTES, overrides="y" * MOST_BYTES).data
    assert set(data) == {"apply.yaml", "versions.yaml"}


def test_the_marker_is_the_one_that_render_looks_for() -> None:
    for room in (couplings_settings._SECRET_TEXT, object_secrets._PLAIN):
        assert cluster_record._SECRET_TEXT.pattern == room.pattern


@pytest.mark.parametrize("text", ["", "[]", "tree: x\n", ":\n- {", "3"])
def test_what_somebody_else_wrote_is_no_record(text: str) -> None:
    assert recorded_from({"apply.yaml": text}) is None
    assert recorded_from({}) is None


def test_what_it_says_is_safe_to_print() -> None:
    entry: dict[str, Any] = yaml.safe_load(APPLIED.data["apply.yaml"])
    found = recorded_from({"apply.yaml": yaml.safe_dump({**entry, "operator": "ann\x1b[2J", "commit": "no git"})})
    assert found is not None and "\x1b" not in found.operator
    assert replace(found, clean=False).words == "tree aaaaaaaaaaaa (no git, not all of it committed)"
