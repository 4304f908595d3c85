"""What verbs print for programs is what docs/json describes."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fleet.options import Options
from fleet.plan_text import plan_json
from fleet.reporter import JsonReporter
from fleet.runs import apply_run, plan_run
from generator.errors import SlipwayError
from tests.fleet.test_runs import Place, place

__all__ = ["place"]

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
    assert events[-1]["event"] == "left"


def test_a_schema_can_refuse() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"event": "gate", "seconds": 1}, schema("events"))
