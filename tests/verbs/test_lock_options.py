"""Every verb that takes the lock has the options that the lock's error names, and hands them on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import verbs.hosts
import verbs.rollback
import verbs.rotation
import verbs.running
from fleet.options import Options
from generator.errors import RefusedError
from tests.verbs.arguments import arguments_of
from verbs.offering import collection

VERBS = ("apply", "rollback", "hosts.reboot", "secrets.rewrite", "secrets.encryption")


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_that_takes_the_lock_offers_what_the_locks_error_names(name: str) -> None:
    told = {argument.name: argument.help for argument in arguments_of(collection()[name])}
    assert told["wait"] == verbs.running.WAIT and told["break_lock"] == verbs.running.BREAK_LOCK


@pytest.mark.parametrize("name", VERBS)
def test_they_reach_the_run_in_seconds(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: list[Options] = []

    def fleet_of(_: object, options: Options, **__: Any) -> Any:
        given.append(options)
        raise RefusedError("far enough")

    def at_once(step: Any) -> Any:
        return step.fleet()

    place = SimpleNamespace(cluster="demo", inputs=tmp_path, root=tmp_path, rendered=tmp_path)
    for room in (verbs.running, verbs.rollback, verbs.rotation, verbs.hosts):
        monkeypatch.setattr(room, "fleet_of", fleet_of)
        monkeypatch.setattr(room, "place_of", lambda _: place)
    for room in (verbs.running, verbs.rotation, verbs.hosts):
        monkeypatch.setattr(room, "require_current", lambda *_, **__: None)
    inputs = SimpleNamespace(rotation=lambda _: SimpleNamespace(step="leading"))
    monkeypatch.setattr(verbs.rotation, "Inputs", lambda *_: inputs)
    monkeypatch.setattr(verbs.rotation, "load", lambda *_: None)
    monkeypatch.setattr(verbs.rotation, "make", at_once)
    monkeypatch.setattr(verbs.rotation, "rewrite", at_once)
    more = {"next": True} if name == "secrets.encryption" else {}
    with pytest.raises(BaseException, match="far enough"):
        collection()[name].body(None, wait=3, break_lock=True, **more)
    assert given == [replace(Options(), wait=180.0, break_lock=True, command=given[0].command)]
