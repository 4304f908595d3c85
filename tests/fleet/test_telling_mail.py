"""Notifications by mail to a real SMTP server on loopback: plain, by STARTTLS, by TLS at once, with a login."""

from __future__ import annotations

import email
import email.policy
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest

from fleet.telling import MailServer, Told, tell
from generator.ci.notices import Event, event_from
from tests.ci.samples import sample
from tests.golden.pipeline_cases import EVENTS
from verbs.ci_pipeline import notices_of

NO_MAIL = MailServer()
LOGIN = "ci@example.net:pass:word"
SERVER = """
import ssl, sys, time
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult

port, folder, certificate, key = sys.argv[1:]
context = None
if certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
known = (b"ci@example.net", b"pass:word")
controller = Controller(
    Mailbox(folder), hostname="localhost", port=int(port), tls_context=context, auth_required=True,
    auth_require_tls=bool(certificate),
    authenticator=lambda server, session, envelope, mechanism, data: AuthResult(
        success=(data.login, data.password) == known, handled=False),
)
controller.start()
time.sleep(600)
"""


pytestmark = [
    pytest.mark.tools,
    pytest.mark.skipif(not shutil.which("aiosmtpd"), reason="needs aiosmtpd (package python3-aiosmtpd)"),
]


@dataclass
class Post:
    """A real SMTP server that keeps what it gets."""

    port: int
    folder: Path

    def mails(self) -> list[EmailMessage]:
        found = sorted((self.folder / "new").glob("*"))
        return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in found]  # type: ignore[misc]


@dataclass(frozen=True)
class Pair:
    """A certificate for localhost that nobody knows, and its key."""

    certificate: Path
    key: Path


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    one = Pair(tmp_path / "server.crt", tmp_path / "server.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(one.key), "-out",
         str(one.certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return one


@contextmanager
def served(folder: Path, *options: str, script: bool = False) -> Iterator[Post]:
    """Run aiosmtpd with its own options, or the server above, which wants a login."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    if script:
        # The Python that has aiosmtpd is the one of its program.
        shebang = Path(str(shutil.which("aiosmtpd"))).read_text().splitlines()[0]
        words = [*shebang.removeprefix("#!").split(), "-c", SERVER, str(port), str(folder), *options]
    else:
        words = ["aiosmtpd", "-n", "-l", f"localhost:{port}", *options, "-c", "aiosmtpd.handlers.Mailbox", str(folder)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        for _ in range(400):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        try:
            yield Post(port, folder)
        finally:
            process.terminate()


def mailed(
    event: Event, post: Post, login: str | None = None, sender: str = "ci@example.net", **target: str
) -> tuple[Told, ...]:
    to = {"kind": "mail", "to": ["team@example.net", "ops@example.net"], **target}
    secrets = {} if login is None else {"login": login}
    server = MailServer("localhost", post.port, sender)
    return tell(notices_of(sample(notify=[to]), event), secrets, server, timeout=5, pauses=())


@pytest.mark.parametrize("outcome", EVENTS)
def test_a_mail_arrives(tmp_path: Path, outcome: str) -> None:
    with served(tmp_path / "mails") as post:
        assert mailed(EVENTS[outcome], post) == (Told("mail", "team@example.net, ops@example.net"),)
        [mail] = post.mails()
    golden = Path(__file__).parents[1] / f"golden/pipeline/notices/rendered/mail-{outcome}.txt"
    subject, _, text = golden.read_text().partition("\n\n")
    assert mail["Subject"] == subject
    assert (mail["From"], mail["To"]) == ("ci@example.net", "team@example.net, ops@example.net")
    assert mail.get_content().strip() == text.strip()
    # What servers hold against mails that lack it.
    assert abs(mail["Date"].datetime - datetime.now(UTC)) < timedelta(minutes=5)
    assert str(mail["Message-ID"]).endswith("@example.net>")


def test_a_mail_is_encrypted_where_that_is_offered(tmp_path: Path, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    # With a certificate the server takes nothing that is not encrypted.
    with served(tmp_path / "mails", "--tlscert", str(pair.certificate), "--tlskey", str(pair.key)) as post:
        [told] = mailed(EVENTS["success"], post)
        assert told.why.startswith("localhost cannot be reached (its certificate: ")
        assert post.mails() == []
        monkeypatch.setenv("SSL_CERT_FILE", str(pair.certificate))
        assert mailed(EVENTS["success"], post)[0].why == ""
        assert len(post.mails()) == 1


def test_the_port_for_tls_is_spoken_to_in_tls_at_once(
    tmp_path: Path, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(tmp_path / "mails", "--smtpscert", str(pair.certificate), "--smtpskey", str(pair.key)) as post:
        monkeypatch.setattr("fleet.telling.SUBMISSIONS", post.port)
        assert mailed(EVENTS["success"], post)[0].why.startswith("localhost cannot be reached (its certificate: ")
        monkeypatch.setenv("SSL_CERT_FILE", str(pair.certificate))
        assert mailed(EVENTS["success"], post)[0].why == ""
        assert len(post.mails()) == 1


def test_a_server_that_wants_a_login_gets_it(tmp_path: Path, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pair.certificate))
    with served(tmp_path / "mails", str(pair.certificate), str(pair.key), script=True) as post:
        assert mailed(EVENTS["success"], post)[0].why == "localhost answers 530"
        assert mailed(EVENTS["success"], post, LOGIN, secret="login")[0].why == ""
        assert len(post.mails()) == 1
        [told] = mailed(EVENTS["success"], post, "ci@example.net:wrong-s3cret", secret="login")
        assert told.why == "localhost refuses the login (535)"
        [told] = mailed(EVENTS["success"], post, secret="login")
        assert told.why == "its login is not known; give --webhook login=FILE"
        for wrong in ("s3cret", ":s3cret", "s3cret:"):
            [told] = mailed(EVENTS["success"], post, wrong, secret="login")
            assert told.why == "what its credential holds is no login; write USER:PASSWORD"
        assert len(post.mails()) == 1


def test_no_password_goes_over_a_line_that_others_read(tmp_path: Path) -> None:
    with served(tmp_path / "mails", "", "", script=True) as post:
        [told] = mailed(EVENTS["success"], post, LOGIN, secret="login")
        assert told.why == "localhost offers no encryption, and a password is not sent without"


def test_a_server_without_logins_is_told_from_one_that_is_gone(
    tmp_path: Path, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pair.certificate))
    # aiosmtpd offers no logins to those who speak TLS at once.
    with served(tmp_path / "mails", "--smtpscert", str(pair.certificate), "--smtpskey", str(pair.key)) as post:
        monkeypatch.setattr("fleet.telling.SUBMISSIONS", post.port)
        [told] = mailed(EVENTS["success"], post, LOGIN, secret="login")
        assert told.why == "localhost knows no logins; take the secret out"


@pytest.mark.parametrize("sender", ["ci@example.net\nBcc: all@example.net", "ci@example.net\r\n\r\nhello", "a@b\x00"])
def test_a_sender_is_an_address_and_no_header(tmp_path: Path, sender: str) -> None:
    with served(tmp_path / "mails") as post:
        [told] = mailed(EVENTS["success"], post, sender=sender)
        assert told.why == "the sender is no address; set addons.jenkins.mail.from in cluster.yaml"
        assert post.mails() == []


def test_names_of_strangers_are_no_headers(tmp_path: Path) -> None:
    hostile = "Eve\r\nBcc: all@example.net\r\n\r\n.\r\nQUIT"
    event = event_from(json.dumps({
        "project": "hello", "environment": hostile, "outcome": "failure", "author": hostile, "failedStage": hostile,
    }))  # fmt: skip
    with served(tmp_path / "mails") as post:
        assert mailed(event, post)[0].why == ""
        [mail] = post.mails()
    assert mail["Bcc"] is None and mail["X-RcptTo"] == "team@example.net, ops@example.net"
    assert "Eve" in mail["Subject"] and "QUIT" in mail.get_content()


def test_no_mail_server_is_said() -> None:
    notices = notices_of(sample(notify=[{"kind": "mail", "to": ["team@example.net"]}]), EVENTS["failure"])
    assert tell(notices, {}, NO_MAIL)[0].why.startswith("no mail server; set addons.jenkins.mail.host")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    [told] = tell(notices, {}, MailServer("127.0.0.1", port), pauses=())
    assert told.why == "127.0.0.1 cannot be reached (Connection refused)"
