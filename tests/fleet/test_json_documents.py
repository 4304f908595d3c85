"""What verbs print for programs is what docs/json describes."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from fleet import authorize
from fleet.options import Options
from fleet.plan_text import plan_json
from fleet.reporter import JsonReporter
from fleet.rewrite import Rewritten
from fleet.runs import apply_run, plan_run
from generator.errors import SlipwayError
from generator.pki.rotation_state import ENCRYPTION, Rotation
from tests.fleet.place import Place
from verbs import etcd, namespace, rotation

DOCS = Path(__file__).parents[2] / "docs" / "json"


def schema(name: str) -> Any:
    found = json.loads((DOCS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def events_of(place: Place, options: Options | None = None) -> list[dict[str, Any]]:
    out = io.StringIO()

    async def run(fleet: Any) -> None:
        await apply_run(replace(fleet, reporter=JsonReporter(out)))

    with contextlib.suppress(SlipwayError):
        place.run(run, options)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_plan_is_as_described(place: Place) -> None:
    place.run(apply_run, Options(limit=("n1",)))
    (place.hosts["n1"].root / "etc/idle/idle.conf").write_text("by hand\n")
    (place.hosts["n1"].fake / "units/idle.service").write_text("inactive\n")
    document = plan_json(place.run(lambda fleet: plan_run(fleet, objects=False)))
    jsonschema.validate(document, schema("plan"))
    assert document["needed"] and set(document["hosts"]) == set(place.names)
    acts = [act for host in document["hosts"].values() for work in host["phases"].values() for act in work["units"]]
    assert any(act["because"] for act in acts)


def test_events_are_as_described(place: Place) -> None:
    events = events_of(place)
    for event in events:
        jsonschema.validate(event, schema("events"))
    assert {"phase", "batch", "host", "gate", "done"} <= {event["event"] for event in events}


def test_a_run_that_fails_says_what_is_left(place: Place) -> None:
    place.hosts["n2"].root.joinpath("etc").mkdir(parents=True, exist_ok=True)
    place.hosts["n2"].root.joinpath("etc/idle").write_text("a file where a folder is to be\n")
    events = events_of(place)
    for event in events:
        jsonschema.validate(event, schema("events"))
    assert events[-1].pop("seconds") >= 0
    assert events[-1] == {
        "event": "left", "done": [], "stopped": {"n2": "host-base"},
        "waiting": {"n1": "binaries", "n3": "binaries"}, "untouched": [],
    }  # fmt: skip


def test_a_push_that_fails_says_which_hosts_have_their_files(place: Place) -> None:
    for name in ("n1", "n3"):
        place.hosts[name].state("staged").parent.mkdir(parents=True)
        place.hosts[name].state("staged").write_text("in the way")
    left = events_of(place)[-1]
    jsonschema.validate(left, schema("events"))
    assert left.pop("seconds") >= 0
    assert left == {"event": "left", "staged": ["n2"], "failed": ["n1", "n3"]}


LEFT = {"done": [], "stopped": {"n2": "etcd"}, "waiting": {}, "untouched": ["n1"]}


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"text": "what is left"},
        {"staged": ["n1"]},
        {"staged": ["n1"], "failed": "n2"},
        {**LEFT, "stopped": ["n2"]},
        {**LEFT, "waiting": {"n3": ""}},
        {name: value for name, value in LEFT.items() if name != "untouched"},
    ],
)
def test_what_is_left_is_told_in_full(facts: dict[str, Any]) -> None:
    jsonschema.validate({"event": "left", "seconds": 1, **LEFT}, schema("events"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"event": "left", "seconds": 1, **facts}, schema("events"))


def test_every_schema_is_one_and_the_page_names_it() -> None:
    page = (DOCS.parent / "json.md").read_text()
    for path in DOCS.glob("*.schema.json"):
        schema(path.name.removesuffix(".schema.json"))
        assert f"(json/{path.name})" in page, path.name


def test_every_verb_with_json_is_on_the_page() -> None:
    page = (DOCS.parent / "json.md").read_text()
    verbs = [name for name in namespace.task_names if "json" in namespace[name].help]
    assert len(verbs) > 12
    assert not [name for name in verbs if f"`{name}`" not in page]


def test_a_key_put_on_hosts_is_told_as_described() -> None:
    states = (authorize.OPENS, authorize.WRITTEN, authorize.UNPROVED, authorize.WOULD, authorize.FAILED)
    told = [asdict(authorize.Outcome("n1", "root@10.0.0.1", state, "why")) for state in states]
    jsonschema.validate(told, schema("hosts.authorize"))


def printed(capsys: pytest.CaptureFixture[str], verb: Any, **options: Any) -> Any:
    """The document that a verb prints with --json, whatever its exit code."""
    with contextlib.suppress(Exit):
        verb(Context(), json=True, **options)
    return json.loads(capsys.readouterr().out)


def test_keys_of_etcd_are_told_as_described(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def counted(session: Any, tree: Any) -> dict[str, int]:
        return {"pods": 3, "secrets": 2}

    async def listed(session: Any, tree: Any, prefix: str, most: int) -> AsyncIterator[list[str]]:
        yield [f"{prefix}default/a"]

    async def on_etcd(place: Any, work: Any) -> Any:
        return await work(None, None)

    for name, stand_in in (("place_of", str), ("count_keys", counted), ("list_keys", listed), ("on_etcd", on_etcd)):
        monkeypatch.setattr(etcd, name, stand_in)
    for options in ({}, {"prefix": "secrets/"}):
        told = printed(capsys, etcd.keys, cluster="demo", **options)
        jsonschema.validate(told, schema("etcd.keys"))
        assert told["keys"] == (["/registry/secrets/default/a"] if options else 5)


def test_a_rewrite_is_told_as_described(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    done = Rewritten({"secrets": 40}, 1), Rotation(ENCRYPTION, "encryption/2", ("encryption/1",))
    for name, stand_in in (("place_of", str), ("_step", lambda *_, **__: None), ("rewrite", lambda _: done)):
        monkeypatch.setattr(rotation, name, stand_in)
    told = printed(capsys, rotation.rewrite_objects, cluster="demo")
    jsonschema.validate(told, schema("secrets.rewrite"))
    assert told == {"objects": {"secrets": 40}, "gone": 1, "writer": "encryption/2"}


def test_a_schema_can_refuse() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"event": "gate", "seconds": 1}, schema("events"))
