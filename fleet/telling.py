"""Sending what is told of a run: webhooks by HTTP, mail by SMTP. What cannot be sent is said, and is no error.

The URL of a webhook is a secret: whoever knows it can write to the receiver. It is read from a file or from standard
input, like what messages are signed with and the login at a mail server; none is in an argument, environment or
message, and no answer is followed to another address.
"""

from __future__ import annotations

import http.client
import smtplib
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import make_msgid
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from generator.formats.webhook_signing import Signing, signed

TIMEOUT = 10.0
"""Seconds for one try."""
PAUSES = (1.0, 4.0)
"""Seconds before the second try and the third."""
SUBMISSIONS = 465
"""The port of mail servers that are spoken to in TLS at once."""
_LONGEST_ANSWER = 65536
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Hook:
    """A document for a webhook; `refused` says why a receiver that answered did not take it, "" where it did.

    `credential` is the id of its URL, `signing_credential` that of the secret with which it is signed, "" for none.
    """

    kind: str
    credential: str
    body: bytes
    refused: Callable[[bytes], str]
    signing: Signing | None = None
    signing_credential: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail; `credential` is the id of the login USER:PASSWORD at the mail server, "" for a server that wants none."""

    to: Sequence[str]
    subject: str
    text: str
    credential: str = ""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail goes, and who sends it; without a host nothing is mailed."""

    host: str = ""
    port: int = 25
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one notification; `why` is empty where it arrived."""

    kind: str
    to: str
    why: str = ""


def tell(
    notices: Sequence[Hook | Letter],
    secrets: Mapping[str, str],
    server: MailServer,
    *,
    timeout: float = TIMEOUT,
    pauses: Sequence[float] = PAUSES,
) -> tuple[Told, ...]:
    """Send notifications and return what became of each; `secrets` are URLs, signing secrets, logins by credential."""
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        # One that never answers keeps no other waiting.
        return tuple(pool.map(lambda one: _told(one, secrets, server, timeout, pauses), notices))


def _told(
    one: Hook | Letter, secrets: Mapping[str, str], server: MailServer, timeout: float, pauses: Sequence[float]
) -> Told:
    if isinstance(one, Letter):
        to = ", ".join(one.to)
        if one.credential and one.credential not in secrets:
            return Told("mail", to, f"its login is not known; give --webhook {one.credential}=FILE")
        login = secrets.get(one.credential, "")
        return Told("mail", to, _tried(lambda: send_mail(one, server, login, timeout), pauses))
    for what, credential in (("URL", one.credential), ("signing secret", one.signing_credential)):
        if credential and credential not in secrets:
            return Told(one.kind, one.credential, f"its {what} is not known; give --webhook {credential}=FILE")
    url, key = secrets[one.credential], secrets.get(one.signing_credential, "")
    return Told(one.kind, one.credential, _tried(lambda: post(one, url, key, timeout), pauses))


@dataclass(frozen=True, slots=True)
class _Miss:
    why: str
    again: bool


def _tried(send: Callable[[], _Miss | None], pauses: Sequence[float]) -> str:
    """Return why something could not be sent, "" where it was; what may pass is tried again after each pause."""
    for pause in (*pauses, None):
        miss = send()
        if miss is None:
            return ""
        if not miss.again or pause is None:
            return miss.why
        time.sleep(pause)
    return ""


class _NoWay(urllib.request.HTTPRedirectHandler):
    """An answer that leads elsewhere is a refusal: the message is for one address."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:  # fmt: skip
        return None


def post(hook: Hook, url: str, key: str = "", timeout: float = TIMEOUT) -> _Miss | None:
    """Send a document to a webhook once, signed if there is a `key`; return why it did not arrive, None if it did."""
    try:
        parts = urlsplit(url)
        named = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        named = False
    if not named or not url.isascii() or any(char <= " " for char in url):
        return _Miss("what its credential holds is no http(s) URL", again=False)
    body = hook.body
    if hook.signing is not None and key:
        url, body = signed(hook.signing, key, url, body, time.time())
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "slipway"}
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    where = parts.hostname
    try:
        with urllib.request.build_opener(_NoWay).open(request, timeout=timeout) as answer:
            refused = hook.refused(answer.read(_LONGEST_ANSWER))
    except HTTPError as error:
        with error:
            return _Miss(f"{where} answers {error.code}", again=error.code == 429 or error.code >= 500)
    except (URLError, OSError, http.client.HTTPException) as error:
        return _Miss(f"{where} cannot be reached ({_words(error)})", again=True)
    return _Miss(f"{where} refuses it ({refused})", again=False) if refused else None


def send_mail(letter: Letter, mail: MailServer, login: str = "", timeout: float = TIMEOUT) -> _Miss | None:
    """Send a mail once, encrypted where the server offers it; return why it did not leave, None where it did.

    With a login, USER:PASSWORD, it is sent encrypted or not at all.
    """
    if not mail.host:
        return _Miss("no mail server; set addons.jenkins.mail.host in cluster.yaml, or give --mail-host", again=False)
    user, colon, password = login.partition(":")
    if login and not (user and colon and password):
        return _Miss("what its credential holds is no login; write USER:PASSWORD", again=False)
    try:
        message = _message(letter, mail.sender or f"slipway@{mail.host}")
    except ValueError:
        return _Miss("the sender is no address; set addons.jenkins.mail.from in cluster.yaml", again=False)
    try:
        with _connected(mail, timeout) as server:
            server.ehlo_or_helo_if_needed()
            encrypted = isinstance(server, smtplib.SMTP_SSL)
            if not encrypted and server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
                encrypted = True
            if login and not encrypted:
                return _Miss(f"{mail.host} offers no encryption, and a password is not sent without", again=False)
            if login:
                server.login(user, password)
            refused = server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        return _Miss(f"{mail.host} refuses {', '.join(error.recipients)}", again=False)
    except smtplib.SMTPAuthenticationError as error:
        return _Miss(f"{mail.host} refuses the login ({error.smtp_code})", again=400 <= error.smtp_code < 500)
    except smtplib.SMTPNotSupportedError:
        return _Miss(f"{mail.host} knows no logins; take the secret out", again=False)
    except smtplib.SMTPResponseException as error:
        return _Miss(f"{mail.host} answers {error.smtp_code}", again=400 <= error.smtp_code < 500)
    except (OSError, smtplib.SMTPException) as error:
        return _Miss(f"{mail.host} cannot be reached ({_words(error)})", again=not isinstance(error, ssl.SSLError))
    return _Miss(f"{mail.host} refuses {', '.join(refused)}", again=False) if refused else None


def _connected(mail: MailServer, timeout: float) -> smtplib.SMTP:
    # The one port whose servers speak TLS from the first byte (RFC 8314, 7.3).
    if mail.port == SUBMISSIONS:
        return smtplib.SMTP_SSL(mail.host, mail.port, timeout=timeout, context=ssl.create_default_context())
    return smtplib.SMTP(mail.host, mail.port, timeout=timeout)


def _message(letter: Letter, sender: str) -> EmailMessage:
    """Return a mail with its headers; raises ValueError for a sender that would be more than one."""
    if not sender.isprintable():
        raise ValueError(sender)
    message = EmailMessage()
    message["Subject"] = letter.subject
    message["From"] = sender
    message["To"] = ", ".join(letter.to)
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].rstrip(">") or None)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message


def _words(error: BaseException) -> str:
    """Return what is wrong in words that never hold a URL."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate: {reason.verify_message}"
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, OSError):
        return reason.strerror or type(reason).__name__
    return type(reason).__name__
