"""Notifications to a real HTTP server on loopback."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from fleet.telling import Hook, Letter, MailServer, Told
from fleet.telling import tell as send
from generator.ci.notices import Event
from generator.ci.schema import NotifySection
from tests.ci.samples import sample
from tests.golden.pipeline_cases import EVENTS
from verbs.ci_pipeline import notices_of

GOOD = {"dingtalk": b'{"errcode":0}', "wecom": b'{"errcode":0,"errmsg":"ok"}', "feishu": b'{"code":0}',
        "slack": b"ok", "json": b""}  # fmt: skip
SECRET = "s3cret-token"
NO_MAIL = MailServer()


@dataclass
class Receiver:
    """A webhook: answers in their order, the last one again and again; `got` is what it was sent."""

    answers: list[tuple[int, bytes]] = field(default_factory=lambda: [(200, b"")])
    got: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    port: int = 0
    wait: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?access_token={SECRET}"


class _Hook(http.server.BaseHTTPRequestHandler):
    receiver: ClassVar[Receiver]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.receiver.got.append((self.path, dict(self.headers), json.loads(body)))
        time.sleep(self.receiver.wait)
        answers = self.receiver.answers
        status, text = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        if status in {301, 302, 307}:
            self.send_header("Location", f"http://127.0.0.1:{self.receiver.port}/elsewhere")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words: object) -> None:
        return


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    handler = type("Hook", (_Hook,), {"receiver": one})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    one.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield one
    server.shutdown()
    server.server_close()


def tell(event: Event, targets: list[NotifySection], *words: Any, **more: Any) -> tuple[Told, ...]:
    """Tell of an event as the verb does."""
    notify = [one.model_dump(exclude_unset=True) for one in targets]
    notices: list[Hook | Letter] = notices_of(sample(notify=notify), event)
    return send(notices, *words, **more)


def target(kind: Any = "json", **more: Any) -> NotifySection:
    return NotifySection(kind=kind, **{"secret": "hook", **more})


def sent(receiver: Receiver, kind: str = "json", outcome: str = "failure", **more: Any) -> tuple[Told, ...]:
    options = {"timeout": 2.0, "pauses": (0.01, 0.01), **more}
    return tell(EVENTS[outcome], [target(kind)], {"hook": receiver.url}, NO_MAIL, **options)


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("outcome", EVENTS)
def test_each_kind_arrives_as_its_template_says(receiver: Receiver, kind: str, outcome: str) -> None:
    receiver.answers = [(200, GOOD[kind])]
    assert sent(receiver, kind, outcome) == (Told(kind, "hook"),)
    [(path, headers, body)] = receiver.got
    assert path == f"/hook?access_token={SECRET}"
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    golden = Path(__file__).parents[1] / "golden/pipeline/notices/rendered" / f"{kind}-{outcome}.json"
    assert body == json.loads(golden.read_text())


@pytest.mark.parametrize(
    ("kind", "answer", "why"),
    [
        (
            "dingtalk",
            b'{"errcode":310000,"errmsg":"no such keyword"}',
            "errcode 310000 no such keyword",
        ),
        ("wecom", b'{"errcode":93000,"errmsg":"invalid webhook url"}', "errcode 93000 invalid webhook url"),
        ("feishu", b'{"code":19001,"msg":"param invalid"}', "code 19001 param invalid"),
        ("wecom", b"<html>", "the answer is no JSON document"),
        ("wecom", b"[]", "the answer is no JSON object"),
    ],
)
def test_a_refusal_behind_a_good_status_is_said(receiver: Receiver, kind: str, answer: bytes, why: str) -> None:
    receiver.answers = [(200, answer)]
    [told] = sent(receiver, kind)
    assert told.why == f"127.0.0.1 refuses it ({why})"
    assert len(receiver.got) == 1


def test_what_may_pass_is_tried_again(receiver: Receiver) -> None:
    receiver.answers = [(503, b""), (429, b""), (200, b"")]
    assert sent(receiver) == (Told("json", "hook"),)
    assert len(receiver.got) == 3
    receiver.answers = [(500, b"")]
    assert sent(receiver)[0].why == "127.0.0.1 answers 500"
    assert len(receiver.got) == 6


@pytest.mark.parametrize("status", [301, 302, 307, 400, 403, 404])
def test_what_will_not_pass_is_not_and_nothing_is_followed(receiver: Receiver, status: int) -> None:
    receiver.answers = [(status, b"")]
    assert sent(receiver)[0].why == f"127.0.0.1 answers {status}"
    assert [path for path, _, _ in receiver.got] == [f"/hook?access_token={SECRET}"]


def test_silence_ends_with_the_time(receiver: Receiver) -> None:
    receiver.wait = 0.5
    began = time.monotonic()
    assert sent(receiver, timeout=0.1, pauses=(0.01,))[0].why == "127.0.0.1 cannot be reached (no answer in time)"
    assert time.monotonic() - began < 1


def test_who_never_answers_keeps_no_other_waiting(receiver: Receiver) -> None:
    receiver.wait = 1.0
    targets = [target(secret=f"hook-{index}") for index in range(8)]
    began = time.monotonic()
    told = tell(EVENTS["failure"], targets, {one.secret or "": receiver.url for one in targets}, NO_MAIL, timeout=0.5,
                pauses=())  # fmt: skip
    assert [(one.to, bool(one.why)) for one in told] == [(f"hook-{index}", True) for index in range(8)]
    assert time.monotonic() - began < 3


def test_nobody_there_and_no_url_are_said_without_the_url() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{free.getsockname()[1]}/{SECRET}"
    wrong = [
        gone,
        f"ftp://x/{SECRET}",
        SECRET,
        f"http:///{SECRET}",
        f"http://x/{SECRET}\r\nHost: y",
        f"http://[/{SECRET}",
    ]
    for url in wrong:
        [told] = tell(EVENTS["failure"], [target()], {"hook": url}, NO_MAIL, timeout=1, pauses=())
        assert told.why and SECRET not in str(told)
    [told] = tell(EVENTS["failure"], [target()], {}, NO_MAIL)
    assert told.why == "its URL is not known; give --webhook hook=FILE"


def test_only_those_are_told_who_want_to_know(receiver: Receiver) -> None:
    urls = {"hook": receiver.url}
    only_failures = target(on=["failure"])
    assert tell(EVENTS["success"], [only_failures], urls, NO_MAIL) == ()
    assert len(tell(EVENTS["aborted"], [only_failures, target(on=["success"])], urls, NO_MAIL)) == 1
