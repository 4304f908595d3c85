"""Starting a job of Jenkins and following it to its result, over its HTTP API.

A request that starts something carries a crumb that belongs to the session of its cookie
(https://www.jenkins.io/doc/book/security/csrf-protection/); its answer names an item of the queue, and that names the
build once it has begun (https://www.jenkins.io/doc/book/using/remote-access-api/). A parameter that a job does not
define Jenkins passes over in silence, and builds something else than was meant, so the job is looked at before
(ParametersDefinitionProperty.buildWithParameters of https://github.com/jenkinsci/jenkins). Whatever address an answer
names, user and token go to the one that was given.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit

from fleet.connection import printable
from generator.errors import FleetError, RefusedError

TIMEOUT = 20.0
"""Seconds for one request."""
PAUSE = 2.0
"""Seconds between two looks at the queue or the build."""
_PATIENCE = 5
"""How many looks in a row may fail while a build is followed: Jenkins may be restarted meanwhile."""
_LONGEST_ANSWER = 1 << 20
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class JenkinsError(FleetError):
    """Jenkins refuses, does not answer, or does not end in time; `status` is that of HTTP, 0 without an answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Login:
    """A user of Jenkins and his API token, which is never shown."""

    user: str
    token: str = field(repr=False)

    @property
    def header(self) -> str:
        """The field Authorization."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.token}".encode()).decode()


def login_from(data: bytes, where: str) -> Login:
    """Return what a file or sealed secret holds, USER:TOKEN; raises RefusedError, which never repeats it."""
    text = data.decode("utf-8", "replace").strip()
    user, colon, token = text.partition(":")
    if not (user and colon and token) or any(char.isspace() for char in text):
        raise RefusedError(f"{where}: it does not hold USER:TOKEN in one line; write a Jenkins user and his API token")
    return Login(user, token)


@dataclass(frozen=True, slots=True)
class Build:
    """A build, or the item of the queue that waits to become one: then `number` is None, and `why` says for what."""

    queue: int
    number: int | None = None
    url: str | None = None
    result: str | None = None
    seconds: float | None = None
    why: str = ""


class _NoWay(urllib.request.HTTPRedirectHandler):
    """An answer that leads elsewhere is a refusal: the token is for one address."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:  # fmt: skip
        return None


class Jenkins:
    """One Jenkins as one user, with the cookie of one session."""

    def __init__(self, url: str, login: Login, *, ca: Path | None = None, timeout: float = TIMEOUT) -> None:
        try:
            parts = urlsplit(url)
            good = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
        except ValueError:
            good = False
        if not good:
            raise RefusedError("the URL of Jenkins is no http(s) URL without user and password; correct it")
        self.url = url.rstrip("/")
        self.plain = parts.scheme == "http" and parts.hostname not in _LOOPBACK
        self._login, self._timeout = login, timeout
        try:
            context = ssl.create_default_context(cafile=str(ca) if ca else None)
        except (OSError, ssl.SSLError):
            raise RefusedError(f"--ca {ca}: it holds no certificate that can be read; name a PEM file") from None
        self._opener = urllib.request.build_opener(
            _NoWay, urllib.request.HTTPSHandler(context=context), urllib.request.HTTPCookieProcessor(CookieJar())
        )

    def start(self, job: str, parameters: Mapping[str, str]) -> int:
        """Start a job and return its item of the queue; raises JenkinsError, RefusedError where it would not do so.

        One that waits in the queue with the same parameters is not started twice: its item is returned.
        """
        self._takes(job, parameters)
        crumb = self._crumb()
        path = f"{_job_path(job)}/buildWithParameters"
        headers, _ = self._ask(path, f"job {job}", body=urlencode(parameters).encode(), headers=crumb)
        found = re.search(r"/queue/item/(\d+)/?$", headers.get("location", ""))
        if found is None:
            raise JenkinsError(f"{self.url}: job {job}: the answer names no item of the queue; check who answers there")
        return int(found[1])

    def _takes(self, job: str, parameters: Mapping[str, str]) -> None:
        wanted = urlencode({"tree": "buildable,property[parameterDefinitions[name,choices]]"})
        found = self._json(f"{_job_path(job)}/api/json?{wanted}", f"job {job}")
        where = f"{self.url}: job {job}"
        if "buildable" not in found:
            raise RefusedError(f"{where}: it is no job that can be started, a folder perhaps; name one with --job")
        if not found["buildable"]:
            raise RefusedError(f"{where}: it is switched off; enable it there, or name another with --job")
        entries = [one for some in found.get("property") or () for one in some.get("parameterDefinitions") or ()]
        defined = {str(one.get("name")): one.get("choices") for one in entries}
        for name, value in parameters.items():
            if name not in defined:
                raise RefusedError(
                    f"{where}: it has no parameter {name}, and Jenkins would start it without; apply the jobs that "
                    "`invoke ci.jobs` makes, or name another with --job"
                )
            choices = defined[name]
            if choices and value not in choices:
                there = printable(", ".join(str(one) for one in choices if one))
                raise RefusedError(
                    f"{where}: its parameter {name} has no choice {value} (there are: {there}); apply the jobs that "
                    "`invoke ci.jobs` makes, or name another with --job"
                )

    def waiting(self, queue: int) -> Build:
        """Return what has become of an item of the queue; raises RefusedError where somebody took it out."""
        try:
            found = self._json(f"/queue/item/{queue}/api/json", f"queue item {queue}")
        except JenkinsError as error:
            if error.status != 404:
                raise
            raise JenkinsError(
                f"{self.url}: queue item {queue}: it has left the queue, or this user may not see it (404); it may "
                "have been started, so look at the builds of the job before you start another",
                404,
            ) from None
        if found.get("cancelled"):
            raise RefusedError(f"{self.url}: queue item {queue}: somebody took it out of the queue; start it again")
        begun = found.get("executable")
        if isinstance(begun, dict) and begun.get("number"):
            return Build(queue, int(begun["number"]), _url(begun))
        return Build(queue, why=printable(str(found.get("why") or "it waits in the queue")))

    def build(self, job: str, queue: int, number: int) -> Build:
        """Return how far a build is; `result` is None while it runs."""
        about = f"build {number} of job {job}"
        found = self._json(f"{_job_path(job)}/{number}/api/json?tree=building,result,duration,url", about)
        result = None if found.get("building") or not found.get("result") else printable(str(found["result"]))
        seconds = int(found.get("duration") or 0) / 1000 if result else None
        return Build(queue, number, _url(found), result, seconds)

    def begun(self, queue: int, deadline: float, *, pause: float = PAUSE) -> Build:
        """Wait until an item of the queue has become a build, or until the deadline (monotonic seconds)."""
        while True:
            found = self._patient(lambda: self.waiting(queue), pause)
            if found.number is not None or time.monotonic() + pause >= deadline:
                return found
            time.sleep(pause)

    def ended(self, job: str, found: Build, deadline: float, *, pause: float = PAUSE) -> Build:
        """Wait for the result of a build; raises JenkinsError where there is none by the deadline."""
        queue, number = found.queue, found.number
        while number is not None:
            found = self._patient(lambda: self.build(job, queue, number), pause)
            if found.result is not None:
                return found
            if time.monotonic() + pause >= deadline:
                break
            time.sleep(pause)
        where = f"build {number} of job {job} runs still" if number else f"queue item {found.queue}: {found.why}"
        link = f", {found.url}" if found.url else ""
        raise JenkinsError(
            f"{self.url}: {where}{link}; somebody may have to agree there; it was not stopped, give a longer --timeout"
        )

    def _patient(self, look: Callable[[], Build], pause: float) -> Build:
        for left in range(_PATIENCE, -1, -1):
            try:
                return look()
            except JenkinsError as error:
                if not left or (error.status and error.status < 500):
                    raise
                time.sleep(pause)
        raise AssertionError("the last look returns or raises")

    def _crumb(self) -> dict[str, str]:
        """Return the field that proves the session, none where Jenkins asks for none."""
        try:
            found = self._json("/crumbIssuer/api/json", "crumb")
        except JenkinsError as error:
            if error.status == 404:
                return {}
            raise
        field, crumb = str(found.get("crumbRequestField") or ""), str(found.get("crumb") or "")
        if not (field and crumb and (field + crumb).isascii() and (field + crumb).isprintable()):
            raise JenkinsError(f"{self.url}: the crumb is not understood; check who answers there")
        return {field: crumb}

    def _json(self, path: str, about: str) -> dict[str, Any]:
        _, body = self._ask(path, about)
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise JenkinsError(f"{self.url}: {about}: the answer is no JSON object; check who answers there")
        return found

    def _ask(
        self, path: str, about: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[Mapping[str, str], bytes]:
        fields = {"Authorization": self._login.header, "User-Agent": "slipway", **(headers or {})}
        request = urllib.request.Request(self.url + path, data=body, headers=fields)
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                lower = {name.lower(): value for name, value in answer.headers.items()}
                return lower, answer.read(_LONGEST_ANSWER)
        except HTTPError as error:
            with error:
                status, leads = error.code, urlsplit(error.headers.get("Location") or "").path
        except (URLError, OSError, http.client.HTTPException) as error:
            # What urllib could not send it says by URLError; anything else came after Jenkins had it.
            if body is not None and not isinstance(error, URLError):
                raise JenkinsError(
                    f"{self.url}: {about}: the answer was lost ({_words(error)}); it may have been started, so look at "
                    "its builds before you start another"
                ) from None
            raise JenkinsError(
                f"{self.url}: Jenkins cannot be reached ({_words(error)}); see that it runs, and that its URL is right"
            ) from None
        if body is not None and 300 <= status < 400 and leads.rstrip("/").endswith(path.rpartition("/")[0]):
            # Back to the page of the job, where its item in the queue would be named.
            raise JenkinsError(
                f"{self.url}: {about}: Jenkins takes no more of it into the queue; see why there", status
            )
        raise JenkinsError(f"{self.url}: {about}: {_refused(status)}", status)


def _refused(status: int) -> str:
    """Return what a status means here, and what to do."""
    if 300 <= status < 400:
        return f"it leads elsewhere ({status}), where no token is sent; give the URL at which Jenkins itself answers"
    return {
        400: "it does not take these parameters (400); apply the jobs that `invoke ci.jobs` makes",
        401: "it does not take user and token (401); make a new API token for this user and seal it",
        403: "this user may not do that (403); give him Overall/Read, Job/Read and Job/Build",
        404: "it is not there, or this user may not see it (404); see the jobs of Jenkins, or name one with --job",
        409: "it is switched off (409); enable it there, or name another with --job",
        503: "Jenkins is starting or overloaded (503); wait, then run again",
    }.get(status, f"it answers {status}; see the log of Jenkins")


def _job_path(job: str) -> str:
    return "".join(f"/job/{quote(part, safe='')}" for part in job.split("/") if part)


def _url(found: Mapping[str, Any]) -> str | None:
    return printable(str(found.get("url") or "")) or None


def _words(error: BaseException) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate: {reason.verify_message}"
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, OSError):
        return (reason.strerror or type(reason).__name__).lower()
    return type(reason).__name__
