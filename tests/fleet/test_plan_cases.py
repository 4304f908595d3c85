"""Facts in, plan out: every folder of cases/ holds what hosts answered (case.yaml) and the plan as people read it.

`case.yaml`: `hosts` (inventory entries and `has`, what differs from a host that is as rendered), `items`, `contents`,
`phases`, `pools` instead of those of the small tree, `texts` (present content of files). Set SLIPWAY_UPDATE=1 to write
plan.txt anew.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.items import Item
from fleet.plan import make_plan
from fleet.plan_text import plan_json, plan_lines
from fleet.state import HostState, Owned, PathFacts, UnitFacts
from fleet.tree import Host, RenderedTree
from tests.fleet.small_tree import CONTENTS, ITEMS, PHASES, write_tree

CASES = Path(__file__).parent / "cases"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def settled(tree: RenderedTree, host: Host) -> HostState:
    """Return the state of a host that is exactly as rendered."""
    return HostState(
        host=host.name,
        arch="x86_64",
        os_id="debian",
        os_version="12",
        generation=host.digest,
        phases=dict(host.phase_digests),
        paths={item.path: path_facts(item) for item in host.items if item.path},
        owned={item.key: owned(item) for item in host.items},
        units={unit.name: UnitFacts("loaded", "active", "running", "enabled") for unit in host.units()},
        users={item.name: frozenset({item.name, *item.groups}) for item in host.items if item.kind == "user"},
        packages={item.name: "1" for item in host.items if item.kind == "package"},
    )


def path_facts(item: Item) -> PathFacts:
    kind = {"directory": "directory", "link": "link"}.get(item.kind, "file")
    sha256 = "" if item.is_secret or kind != "file" else item.content_id
    return PathFacts(kind, f"{item.mode:04o}", item.owner, item.group, sha256, item.target, True)


def owned(item: Item) -> Owned:
    return Owned(item.kind, item.phase, item.component, item.drain_key if item.kind == "unit" else item.content_id)


def state_of(tree: RenderedTree, host: Host, has: Any) -> HostState:
    """Return a settled host changed as a case says; `bare: true` for one that has nothing."""
    has = dict(has or {})
    state = HostState(host=host.name, arch="x86_64") if has.pop("bare", False) else settled(tree, host)
    for name, changes in (has.pop("paths", None) or {}).items():
        paths = {path: facts for path, facts in state.paths.items() if path != name}
        if changes is not None:
            before = state.paths.get(name, PathFacts("file", "0644", "root", "root", "", "", None))
            paths[name] = replace(before, **changes)
        state = replace(state, paths=paths)
    for name, changes in (has.pop("units", None) or {}).items():
        before_unit = state.units.get(name, UnitFacts())
        state = replace(state, units={**state.units, name: replace(before_unit, **changes)})
    for name, changes in (has.pop("owned", None) or {}).items():
        record = state.owned.get(name, Owned("file", "runtime", "idle", ""))
        words: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in (changes or {}).items()
        }
        state = replace(state, owned={**state.owned, name: replace(record, **words)})
    if "existing" in has:
        has["existing"] = frozenset(has["existing"])
    if "phases" in has:
        has["phases"] = {**state.phases, **has["phases"]}
    return replace(state, **has)


def test_there_are_cases() -> None:
    assert len(list(CASES.iterdir())) >= 8


@pytest.mark.parametrize("folder", sorted(CASES.iterdir()), ids=lambda folder: folder.name)
def test_case(folder: Path, tmp_path: Path) -> None:
    case = yaml.safe_load((folder / "case.yaml").read_text())
    hosts = {
        name: {key: value for key, value in entry.items() if key != "has"} for name, entry in case["hosts"].items()
    }
    tree = write_tree(
        tmp_path,
        hosts=hosts,
        items=[*case.get("items", ITEMS), *case.get("more_items", ())],
        contents={**case.get("contents", CONTENTS), **case.get("more_contents", {})},
        phases=case.get("phases", PHASES),
        pools=case.get("pools"),
        own=case.get("own"),
        artifacts=[{"name": "idle", "version": "1.0", "arch": "amd64", "sha256": "a" * 64}],
    )
    states = {name: state_of(tree, tree.hosts[name], entry.get("has")) for name, entry in case["hosts"].items()}
    texts = {
        host: {path: text.encode() for path, text in files.items()} for host, files in case.get("texts", {}).items()
    }
    plan = make_plan(tree, states, texts=texts, now=NOW)
    assert plan.exit_code == (2 if plan_json(plan)["needed"] else 0)
    text = "\n".join(line.text for line in plan_lines(plan)) + "\n"
    if os.environ.get("SLIPWAY_UPDATE"):
        (folder / "plan.txt").write_text(text)
    assert text == (folder / "plan.txt").read_text()
