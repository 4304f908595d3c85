"""What is told of a run: every receiver gets every fact, whatever a fact holds, and no fact steers a receiver."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from generator.ci.notices import WEBHOOKS, Event, event_from, mail_text, slots, template, webhook_body

DIGEST = "sha256:" + "a" * 64
FACTS = {
    "project": "hello", "environment": "prd", "commit": "0123456789abcdef", "author": "Ada Lovelace",
    "durationSeconds": 3723, "link": "https://ci.example.net/job/hello/7/",
}  # fmt: skip
CONTAINER = {**FACTS, "image": f"registry.example.net/apps/hello:7@{DIGEST}"}
MACHINES = {**FACTS, "artifact": f"target/hello.jar {DIGEST}"}
FAILED = {"outcome": "failure", "failedStage": "Scan image"}
LIMITS = {"wecom": 4096, "dingtalk": 20000, "feishu": 20000, "slack": 40000}
"""Bytes of a message, by the documentation of the receivers; that of Slack is its limit of characters."""


def told(kind: str, event: Event) -> str:
    """Every text that a receiver shows."""
    if kind == "mail":
        return "\n".join(mail_text(event))
    return "\n".join(texts(json.loads(webhook_body(kind, event))))


def texts(part: Any) -> list[str]:
    if isinstance(part, dict):
        return [text for one in part.values() for text in texts(one)]
    if isinstance(part, list):
        return [text for one in part for text in texts(one)]
    return [str(part)]


@pytest.mark.parametrize("kind", (*WEBHOOKS, "mail"))
@pytest.mark.parametrize("facts", [CONTAINER, MACHINES])
def test_every_receiver_gets_every_fact(kind: str, facts: dict[str, Any]) -> None:
    for outcome in ({"outcome": "success"}, FAILED, {**FAILED, "outcome": "aborted"}):
        event = event_from(json.dumps({**facts, **outcome}))
        said = told(kind, event)
        duration = "3723" if kind == "json" else "1 h 2 min 3 s"
        for key in ("project", "environment", "commit", "author", "image", "artifact", "failedStage", "link"):
            assert str(facts.get(key, outcome.get(key, ""))) in said.replace("\\", ""), (key, said)
        assert duration in said
        assert {"success": "released", "failure": "failed", "aborted": "aborted"}[event.outcome] in said


@pytest.mark.parametrize("kind", WEBHOOKS)
def test_a_template_names_every_slot(kind: str) -> None:
    found = set(re.findall(r"\{([A-Za-z]+)\}", json.dumps(template(kind)["body"])))
    wanted = {"headline", "environment", "failedStage", "commit", "author", "image", "artifact", "link"}
    assert wanted <= found and found & {"duration", "durationSeconds"}


@pytest.mark.parametrize("kind", (*WEBHOOKS, "mail"))
def test_a_digest_is_never_cut_and_the_longest_message_is_taken(kind: str) -> None:
    image = f"{'r' * 120}.example.net/{'p' * 130}:{'t' * 128}@{DIGEST}"
    long = "漢" * 300
    event = event_from(json.dumps({
        **FACTS, "outcome": "failure", "image": image, "artifact": "", "author": long, "failedStage": long,
    }))  # fmt: skip
    assert DIGEST in told(kind, event)
    assert len(event.author) == 200 and event.author.endswith("…")
    if kind in LIMITS:
        assert len(webhook_body(kind, event)) <= LIMITS[kind]


@pytest.mark.parametrize("kind", (*WEBHOOKS, "mail"))
def test_what_a_stranger_writes_stays_one_line_of_text(kind: str) -> None:
    hostile = 'x"}],"y":[{\n\r\u2028\x1b[2J{link}{project}[a](http://evil)<!channel><at id=all></at>`*_\\'
    event = event_from(json.dumps({**CONTAINER, "outcome": "success", "author": hostile}))
    plain = event_from(json.dumps({**CONTAINER, "outcome": "success"}))
    said, usual = told(kind, event), told(kind, plain)
    assert len(said.splitlines()) == len(usual.splitlines())
    assert all(char.isprintable() for char in said.replace("\n", ""))
    # Slots in a value are text.
    assert said.count(FACTS["link"]) == usual.count(FACTS["link"])
    if kind not in {"json", "mail"}:
        assert not re.search(r"(?<!\\)\[a\]\(http", said) or kind == "slack"
        assert "<!channel>" not in said and "<at id=all>" not in said


def test_nothing_is_told_that_the_json_does_not_hold() -> None:
    """Who takes plain JSON gets all that the others get."""
    event = event_from(json.dumps({**CONTAINER, **FAILED}))
    assert set(slots(event)) - {"duration"} == set(json.loads(webhook_body("json", event)))
    assert json.loads(webhook_body("json", replace(event, failed_stage="")))["failedStage"] == ""
