"""Signed messages, to a real HTTP server that checks them as the vendors do: by openssl, and by its own clock."""

from __future__ import annotations

import base64
import http.server
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from fleet.telling import MailServer, Told, tell
from generator.ci.notices import WEBHOOKS, signing, webhook_body
from generator.formats.webhook_signing import Signing, signed
from tests.ci.samples import faults_of, sample
from tests.golden.pipeline_cases import EVENTS
from verbs.ci_pipeline import notices_of

SECRET = "SEC 0123+/=ü"
URL_TOKEN = "s3cret-token"
SIGNERS = ("dingtalk", "feishu")

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")


def hmac_of(key: str, message: str) -> str:
    """HMAC-SHA256 in base64, by openssl and not by what is tested."""
    words = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.encode().hex()}", "-binary"]
    done = subprocess.run(words, input=message.encode(), capture_output=True, check=True)
    return base64.b64encode(done.stdout).decode()


class _Robot(http.server.BaseHTTPRequestHandler):
    """A robot of DingTalk at /robot/send, one of Feishu anywhere else; both want a signature."""

    got: ClassVar[list[Any]] = []
    slow: ClassVar[list[float]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.got.append((self.path, body))
        if self.slow:
            self.slow.pop()
            self.send_response(503)
            self.end_headers()
            return
        answer = json.dumps(self.judged(body)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def judged(self, body: Any) -> dict[str, Any]:
        parts = urlsplit(self.path)
        if parts.path == "/robot/send":
            asked = parse_qs(parts.query, strict_parsing=True)
            [token], [timestamp], [sign] = asked["access_token"], asked["timestamp"], asked["sign"]
            good = (
                token == URL_TOKEN
                and abs(time.time() * 1000 - int(timestamp)) < 3_600_000
                and sign == hmac_of(SECRET, f"{timestamp}\n{SECRET}")
            )
            return {"errcode": 0} if good else {"errcode": 310000, "errmsg": "sign not match"}
        timestamp, sign = body.get("timestamp"), body.get("sign")
        good = (
            isinstance(timestamp, str)
            and abs(time.time() - int(timestamp)) < 3600
            and sign == hmac_of(f"{timestamp}\n{SECRET}", "")
        )
        return {"code": 0} if good else {"code": 19021, "msg": "sign match fail"}

    def log_message(self, *words: object) -> None:
        return


@pytest.fixture
def robot() -> Iterator[type[_Robot]]:
    handler = type("Robot", (_Robot,), {"got": [], "slow": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.base = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler
    server.shutdown()
    server.server_close()


def sent(robot: Any, kind: str, secrets: dict[str, str] | None = None, **target: Any) -> Told:
    path = f"robot/send?access_token={URL_TOKEN}" if kind == "dingtalk" else f"hook/{URL_TOKEN}"
    where = f"{robot.base}/{path}"
    project = sample(notify=[{"kind": kind, "secret": "url", "signingSecret": "key", **target}])
    given = {"url": where, "key": SECRET} if secrets is None else {"url": where, **secrets}
    [told] = tell(notices_of(project, EVENTS["failure"]), given, MailServer(), timeout=5, pauses=(0.01,))
    return told


@pytest.mark.parametrize("kind", SIGNERS)
def test_a_robot_that_wants_signatures_takes_ours(robot: Any, kind: str) -> None:
    assert sent(robot, kind) == Told(kind, "url")
    [(_, body)] = robot.got
    plain = json.loads(webhook_body(kind, EVENTS["failure"]))
    assert {key: value for key, value in body.items() if key not in {"timestamp", "sign"}} == plain


@pytest.mark.parametrize("kind", SIGNERS)
def test_another_secret_is_refused_and_neither_is_shown(robot: Any, kind: str) -> None:
    told = sent(robot, kind, {"key": "SEC other"})
    assert told.why.startswith("127.0.0.1 refuses it (")
    assert "sign" in told.why and "SEC" not in told.why and URL_TOKEN not in told.why


@pytest.mark.parametrize("kind", SIGNERS)
def test_each_try_is_signed_anew(robot: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    robot.slow.append(1.0)
    began, calls = time.time(), iter(range(0, 100, 2))
    monkeypatch.setattr("fleet.telling.time.time", lambda: began + next(calls))
    assert sent(robot, kind).why == ""
    first, second = ((path, body.get("sign")) for path, body in robot.got)
    assert first != second


def test_a_secret_that_nobody_gave_is_said_and_nothing_is_sent(robot: Any) -> None:
    assert sent(robot, "feishu", {}).why == "its signing secret is not known; give --webhook key=FILE"
    assert robot.got == []


def test_the_signatures_are_those_of_a_day_long_gone() -> None:
    """By `printf '%s' "$message" | openssl dgst -sha256 -mac HMAC -macopt hexkey:$key -binary | base64`."""
    now, secret = 1599360473.25, "this is secret"
    dingtalk, feishu = signing("dingtalk"), signing("feishu")
    assert dingtalk is not None and feishu is not None
    assert signed(dingtalk, secret, "https://x.example.net/send?a=b", b"{}", now) == (
        "https://x.example.net/send?a=b&timestamp=1599360473250&sign=VqWx7pxsj88ioT1GhN36IgqzQKzBeaEB%2FUfbpTXqmpw%3D",
        b"{}",
    )
    assert signed(feishu, secret, "https://x.example.net/hook", b'{"msg_type": "text"}', now) == (
        "https://x.example.net/hook",
        b'{"timestamp": "1599360473", "sign": "/eYKrXQBzTjUZJ3s6NX16VxGbTwmK7AEs8/FnvC1CSw=", "msg_type": "text"}',
    )
    # A receiver without a query gets one.
    assert "/send?timestamp=" in signed(dingtalk, secret, "https://x.example.net/send", b"{}", now)[0]


def test_only_kinds_that_know_signatures_take_a_secret_for_them() -> None:
    assert tuple(kind for kind in WEBHOOKS if signing(kind)) == SIGNERS
    assert isinstance(signing("dingtalk"), Signing)
    for kind in WEBHOOKS:
        faults = faults_of(notify=[{"kind": kind, "secret": "url", "signingSecret": "key"}])
        assert [str(one).partition(": ")[2] for one in faults] == (
            []
            if kind in SIGNERS
            else [f"notify[0].signingSecret: is for dingtalk and feishu, and this is {kind}; take it out"]
        )
    [fault] = faults_of(notify=[{"kind": "feishu", "secret": "url", "signingSecret": "url"}])
    assert "is the credential that holds the URL" in str(fault)
    [fault] = faults_of(notify=[{"kind": "mail", "to": ["a@example.net"], "signingSecret": "key"}])
    assert "is for dingtalk and feishu, and this is mail" in str(fault)
    assert sample(notify=[{"kind": "feishu", "secret": "b", "signingSecret": "a"}]).webhook_credentials == ("a", "b")
