"""A preflight over hosts without SSH: the real scripts, the verb's words and exit codes, and what apply makes of it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from fleet.connection import Input, Result
from fleet.host_scripts import script_text
from fleet.options import Options
from fleet.preflight.document import preflight_document
from fleet.preflight.run import preflight_run
from fleet.preflight.seen import Seen
from fleet.preflight.table import judged
from fleet.preflight.text import HEADINGS, rows, summary
from fleet.runs import apply_run
from generator.errors import HostError, WorkspaceError
from tests.fleet.place import Place
from tests.fleet.preflight_facts import GIB, seen
from tests.fleet.test_json_documents import schema
from verbs import preflight as verb

GOLDEN = Path(__file__).parent / "preflight"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def move(place: Place, *names: str) -> None:
    """Give hosts another address than the inventory has: an error on any host."""
    for name in names:
        trie = place.hosts[name].root / "proc/net/fib_trie"
        trie.parent.mkdir(parents=True, exist_ok=True)
        trie.write_text("  |-- 192.168.0.9\n     /32 host LOCAL\n")


def questions(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that are asked by the script preflight from here on."""
    asked: list[str] = []
    size = str(len(script_text("preflight").encode()))
    for name in place.names:
        host = place.hosts[name]
        whole = host.run

        async def run(
            argv: Sequence[str], stdin: Input = b"", *, timeout: float = 60, host: Any = host, whole: Any = whole
        ) -> Result:
            if argv[3:5] == ["slipway", size]:
                asked.append(host.host)
            found: Result = await whole(argv, stdin, timeout=timeout)
            return found

        monkeypatch.setattr(host, "run", run)
    return asked


def test_hosts_are_asked_side_by_side_and_a_silent_one_is_a_finding(place: Place) -> None:
    move(place, "n2")
    place.hosts["n3"].reachable = False
    found: Seen = place.run(preflight_run)
    assert set(found.machines) == {"n1", "n2"} and set(found.unreachable) == {"n3"}
    assert found.forwarding == {"n1": "direct", "n2": "direct"}
    errors = [(one.check, one.host) for one in judged(found) if one.severity == "error"]
    assert errors == [("ssh", "n3"), ("address", "n2")]
    assert not (place.hosts["n1"].root / "var/lib/slipway").exists(), "nothing is written"


def test_a_limit_asks_no_other_host(place: Place) -> None:
    assert set(place.run(preflight_run, Options(limit=("n2",))).machines) == {"n2"}
    with pytest.raises(WorkspaceError, match="--limit nobody fits no host"):
        place.run(preflight_run, Options(limit=("nobody",)))


def test_an_apply_to_new_hosts_stops_at_errors_before_anything_is_pushed(place: Place) -> None:
    move(place, "n1", "n2")
    with pytest.raises(HostError) as caught:
        place.run(apply_run)
    first, last = str(caught.value).splitlines()
    assert first.startswith(
        "demo/n1, n2: preflight: an address that the inventory gives it is on none of its interfaces"
    )
    assert first.endswith("(check address)") and "nothing was changed" in last and "--skip CHECK" in last
    for name in place.names:
        assert not place.hosts[name].state("staged").exists()
    place.run(apply_run, Options(skip_checks=("address",)))
    assert (place.hosts["n1"].root / "etc/idle/idle.conf").exists()


def test_an_unknown_check_stops_an_apply_at_once(place: Place) -> None:
    with pytest.raises(WorkspaceError, match="did you mean address"):
        place.run(apply_run, Options(skip_checks=("adress",)))


def test_an_apply_asks_new_hosts_once_and_others_no_second_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = questions(place, monkeypatch)
    place.run(apply_run)
    assert sorted(asked) == ["n1", "n2", "n3"]
    asked.clear()
    place.run(apply_run)
    assert asked == [], "nothing changed"
    place.contents["/etc/idle/idle.conf"] = "level: 2\n"
    move(place, "n1")
    place.run(apply_run)
    assert asked == [], "these hosts have shown that they can"
    place.names["n4"] = {"pool": "workers", "address": "10.0.0.4"}
    move(place, "n4")
    with pytest.raises(HostError, match="demo/n4: preflight: an address"):
        place.run(apply_run)


def test_a_run_without_the_phase_has_no_preflight(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = questions(place, monkeypatch)
    move(place, "n1")
    place.run(apply_run, Options(phases=("host-base",)))
    assert asked == []


def test_another_drain_key_asks_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("1.20", "1.35"):
        place.items[-1] = {**place.items[-1], "phase": "runtime", "drainKey": key}
        if key == "1.20":
            place.run(apply_run)
    asked = questions(place, monkeypatch)
    move(place, "n1", "n2", "n3")
    with pytest.raises(HostError, match="preflight: an address that the inventory gives it"):
        place.run(apply_run)
    assert sorted(asked) == ["n1", "n2", "n3"]


FAULTY = {
    "cp-1": {"clock_ahead": 20.0, "memory": int(1.5 * GIB)},
    "cp-2": {"memory": int(1.2 * GIB)},
    "cp-3": {"memory": int(1.2 * GIB), "timezone": "Asia/Shanghai"},
    "worker-001": {"swaps": ("/swapfile",)},
    "worker-002": {"swaps": ("/dev/sda2",), "kernel": "3.10.0-1160.el7"},
}
AWAY = {"cp-2": "ha/cp-2: ssh: 10.0.0.2:22 cannot be reached (no answer); check address, port and jump hosts"}


def whole() -> Seen:
    return seen(FAULTY, unreachable=AWAY)


def told(found: Seen, skipped: Sequence[str] = ()) -> str:
    some = judged(found, skipped)
    lines = [summary(found, some, skipped), " | ".join(HEADINGS), *(" | ".join(row) for row in rows(some))]
    return "\n".join(lines) + "\n"


def same_as_golden(name: str, text: str) -> None:
    """Compare with what was reviewed; SLIPWAY_UPDATE=1 writes it anew."""
    if os.environ.get("SLIPWAY_UPDATE"):
        (GOLDEN / name).write_text(text)
    assert text == (GOLDEN / name).read_text()


def test_the_table_that_people_read() -> None:
    same_as_golden("table.txt", told(whole()))
    assert told(seen(), ["swap", "mirror"]) == (
        "ha: nothing stands against it (5 hosts, without mirror, swap)\nHOST | CHECK |  | WHAT IS WRONG | WHAT TO DO\n"
    )


def test_the_document_that_programs_read() -> None:
    document = preflight_document(whole(), judged(whole(), ["kernel"]), ["kernel"], NOW)
    jsonschema.validate(document, schema("preflight"))
    same_as_golden("document.json", json.dumps(document, indent=2) + "\n")


def test_what_a_host_says_cannot_steer_a_terminal() -> None:
    ((_, _, _, text, _),) = rows(judged(seen({"cp-1": {"timezone": "\x1b[31mred"}})))
    assert "\x1b" not in text


@pytest.fixture
def stood_in(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(verb, "place_of", lambda _: None)
    monkeypatch.setattr(verb, "require_current", lambda *_: None)
    monkeypatch.setattr(verb, "fleet_of", lambda _, options, as_json: place.fleet(options))
    return place


def run_verb(capsys: pytest.CaptureFixture[str], **options: Any) -> tuple[int, str]:
    code: int | None = 0
    try:
        verb.preflight(Context(), cluster="demo", **options)
    except Exit as exit_:
        code = exit_.code
    return code or 0, capsys.readouterr().out


def test_the_exit_code_is_1_for_errors_and_0_for_warnings(stood_in: Place, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run_verb(capsys)
    assert code == 0 and "warning" in text and "time-sync" in text
    move(stood_in, "n2")
    code, text = run_verb(capsys)
    assert code == 1 and "address" in text
    code, text = run_verb(capsys, skip="address,time-sync")
    assert code == 0 and "without address, time-sync" in text
    code, text = run_verb(capsys, json=True)
    document = json.loads(text)
    jsonschema.validate(document, schema("preflight"))
    assert code == document["exit"] == 1 and document["hosts"] == ["n1", "n2", "n3"]


def test_an_unknown_check_is_an_error_of_the_verb(stood_in: Place) -> None:
    with pytest.raises(Exit, match=r"--skip swapp: there is no such check; did you mean swap\?"):
        verb.preflight(Context(), skip="swapp")


def test_hosts_side_by_side_take_as_long_as_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0
    for name in place.names:
        whole_run = place.hosts[name].run

        async def run(
            argv: Sequence[str], stdin: Input = b"", *, timeout: float = 60, whole_run: Any = whole_run
        ) -> Any:
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                await asyncio.sleep(0.05)
                return await whole_run(argv, stdin, timeout=timeout)
            finally:
                running -= 1

        monkeypatch.setattr(place.hosts[name], "run", run)
    place.run(preflight_run)
    assert most == 3
