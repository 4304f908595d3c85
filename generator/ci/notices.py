"""What is told of a run: the event, and the text that each kind of receiver gets of it.

A kind of webhook is one JSON template in generator/ci/notify, no code: `body` with slots like {project} in its texts,
`escape` (what the receiver would read as markup, and what stands in its place), `outcomes` (more slots by outcome),
`accepted` (what the answer must hold beside the HTTP status, for receivers that answer 200 to what they refuse) and
`signing` (how messages are signed, for receivers that can want that). A line with an empty slot is left out; a text
that is one slot alone takes its value as it is, a number as a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from generator.errors import RefusedError
from generator.formats.webhook_signing import Signing

OUTCOMES = ("success", "failure", "aborted")
WEBHOOKS = ("dingtalk", "wecom", "feishu", "slack", "json")
_SLOT = re.compile(r"\{([A-Za-z]+)\}")
_LONGEST = 200
"""Letters of one value: receivers refuse a message that is too long, and a release is told of in a few lines."""
_WHOLE = {"image": 500, "artifact": 500, "link": 1000}
"""Letters of values whose end matters: a digest, a way. A repository has 255 letters, a tag 128, a digest 71."""


@dataclass(frozen=True, slots=True)
class Event:
    """One run that ended. Empty texts are not known: `image` for virtual machines, `failed_stage` where none failed."""

    project: str
    environment: str
    outcome: str
    commit: str = ""
    author: str = ""
    image: str = ""
    artifact: str = ""
    duration_seconds: int = 0
    failed_stage: str = ""
    link: str = ""

    @property
    def headline(self) -> str:
        """Return what happened in one line."""
        if self.outcome == "success":
            return f"{self.project}: released to {self.environment}"
        what = "aborted" if self.outcome == "aborted" else "failed"
        stage = f", stage {self.failed_stage}" if self.failed_stage else ""
        return f"{self.project}: {what} on the way to {self.environment}{stage}"

    @property
    def concerns(self) -> str:
        """Return the outcome as notify.on names it: a run that was aborted released nothing either."""
        return "success" if self.outcome == "success" else "failure"


def event_from(text: str | bytes) -> Event:
    """Return the event that a JSON document describes; raises RefusedError for what is none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise RefusedError(
            "the event is no JSON document; write one object with project, environment, outcome"
        ) from None
    if not isinstance(document, dict):
        raise RefusedError("the event is no JSON object; write one with project, environment, outcome")
    keys = {_camel(one.name): one for one in fields(Event)}
    found: dict[str, Any] = {}
    for key, field in keys.items():
        value = document.get(key)
        if field.type == "int":
            if value is not None and (type(value) is not int or value < 0):
                raise RefusedError(f"the event's {key} is {value!r}; write whole seconds")
            found[field.name] = value or 0
        else:
            if value is not None and not isinstance(value, str):
                raise RefusedError(f"the event's {key} is {value!r}; write text")
            found[field.name] = _one_line(value or "", _WHOLE.get(key, _LONGEST))
    missing = [key for key in ("project", "environment", "outcome") if not found[keys[key].name]]
    if missing:
        raise RefusedError(f"the event has no {', '.join(missing)}; the pipeline says them of every run")
    if found["outcome"] not in OUTCOMES:
        raise RefusedError(f"the event's outcome is {found['outcome']!r}; write {', '.join(OUTCOMES)}")
    unknown = sorted(set(document) - set(keys))
    if unknown:
        raise RefusedError(f"the event has {', '.join(unknown)}, which no message holds; known are: {', '.join(keys)}")
    return Event(**found)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _one_line(text: str, longest: int = _LONGEST) -> str:
    # A commit's author chooses the own name: no line break, no terminal control, no end.
    plain = "".join(char if char.isprintable() else " " for char in text).strip()
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}…"


def duration_words(seconds: int) -> str:
    """Return a duration as people say it; "" for none."""
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "min"), (left, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def slots(event: Event) -> dict[str, Any]:
    """Return what a template can name."""
    known: dict[str, Any] = {_camel(key): value for key, value in asdict(event).items()}
    return {**known, "headline": event.headline, "duration": duration_words(event.duration_seconds)}


@cache
def template(kind: str) -> Mapping[str, Any]:
    """Return the template of a kind of webhook."""
    found: Mapping[str, Any] = json.loads((files("generator") / "ci" / "notify" / f"{kind}.json").read_text("utf-8"))
    return found


def signing(kind: str) -> Signing | None:
    """Return how a kind of webhook is signed; None for one that knows no signatures."""
    found = template(kind).get("signing")
    return Signing(**found) if found else None


def webhook_body(kind: str, event: Event) -> bytes:
    """Return the JSON document that a webhook of a kind gets."""
    ours = template(kind)
    return json.dumps(_filled(ours["body"], _values(ours, event)), ensure_ascii=False).encode()


def _values(ours: Mapping[str, Any], event: Event) -> dict[str, Any]:
    escape = {ord(char): instead for char, instead in ours.get("escape", {}).items()}
    found = slots(event)
    # A link is no prose: an escape would lead elsewhere. It is shown only where it is one.
    found["link"] = event.link if re.fullmatch(r"https?://[A-Za-z0-9._~:/?#@!$&*+,;=%-]+", event.link) else ""
    escaped = {
        key: value.translate(escape) if isinstance(value, str) and key != "link" else value
        for key, value in found.items()
    }
    return {**escaped, **ours.get("outcomes", {}).get(event.outcome, {})}


def _filled(part: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(part, dict):
        return {key: _filled(one, values) for key, one in part.items()}
    if isinstance(part, list):
        return [_filled(one, values) for one in part]
    if not isinstance(part, str):
        return part
    alone = _SLOT.fullmatch(part)
    if alone:
        return values[alone[1]]
    lines = [line for line in part.split("\n") if all(values[name] not in {"", None} for name in _SLOT.findall(line))]
    return "\n".join(_SLOT.sub(lambda match: str(values[match[1]]), line) for line in lines)


def refusal(kind: str, answer: bytes) -> str:
    """Return why a receiver that answered with a good HTTP status did not take the message; "" where it did."""
    accepted: Mapping[str, Any] = template(kind).get("accepted", {})
    if not accepted:
        return ""
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError):
        return "the answer is no JSON document"
    if not isinstance(document, dict):
        return "the answer is no JSON object"
    for key, wanted in accepted.items():
        if document.get(key) != wanted:
            words = next((document[one] for one in ("errmsg", "msg") if isinstance(document.get(one), str)), "")
            return _one_line(f"{key} {document.get(key)!r} {words}")
    return ""


def mail_text(event: Event) -> tuple[str, str]:
    """Return subject and plain text of a mail."""
    rows = (
        ("Project", event.project), ("Environment", event.environment), ("Outcome", event.outcome),
        ("Failed stage", event.failed_stage), ("Commit", event.commit), ("Author", event.author),
        ("Image", event.image), ("Artifact", event.artifact), ("Duration", duration_words(event.duration_seconds)),
        ("Run", event.link),
    )  # fmt: skip
    lines = [f"{title + ':':<14}{value}" for title, value in rows if value]
    return event.headline, "\n".join([event.headline, "", *lines, ""])
