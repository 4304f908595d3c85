"""A Jenkins of a few answers on loopback: it checks user, token, the session's cookie and its crumb as Jenkins does.

Answers to a start are those of jenkinsci/jenkins (ParameterizedJobMixIn, ParametersDefinitionProperty): 201 with the
item of the queue, 302 to the job where it is not queued, 409 where it is switched off, 500 for a choice that is none,
and no word about a parameter that the job does not define.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

USER, TOKEN = "platform", "11deadbeefcafe"
SESSION, CRUMB = "JSESSIONID.1=s1", "crumb-of-s1"


@dataclass
class JenkinsStandIn:
    """What it has been asked, and how it shall answer."""

    jobs: tuple[str, ...] = ("/job/hello",)
    job: dict[str, Any] = field(default_factory=lambda: {"buildable": True})
    """What a job says of itself beside its parameters."""
    parameters: dict[str, list[str] | None] = field(
        default_factory=lambda: {"ENVIRONMENT": ["", "dev", "prd"], "BRANCH": None}
    )
    """Those that the job defines, with choices where there are some."""
    queue: list[dict[str, Any]] = field(default_factory=lambda: [{"why": "In the quiet period"}])
    """What a queue item says, look by look; after the last it is build 7."""
    building: int = 1
    """How many looks find the build running."""
    result: str = "SUCCESS"
    crumbs: bool = True
    statuses: list[int] = field(default_factory=list)
    """Statuses of the next answers to GET, in place of the real ones; 0 is a real answer."""
    redirect: str = ""
    location: str = ""
    refuses: int = 0
    """The status with which a start is refused; 0 is none, -1 takes it and never answers."""
    crumb: str = CRUMB
    started: list[dict[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    jenkins: JenkinsStandIn

    def log_message(self, *words: object) -> None:
        pass

    def _answer(self, status: int, document: Any = None, **headers: str) -> None:
        body = json.dumps(document if document is not None else {}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _known(self) -> bool:
        self.jenkins.asked.append(f"{self.command} {self.path}")
        expected = "Basic " + base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()
        if self.headers.get("Authorization") != expected:
            self._answer(401)
            return False
        if self.jenkins.redirect:
            self._answer(302, Location=self.jenkins.redirect)
            return False
        return True

    def do_GET(self) -> None:
        if not self._known():
            return
        here = self.jenkins
        if here.statuses and (status := here.statuses.pop(0)):
            self._answer(status)
        elif self.path == "/crumbIssuer/api/json":
            if here.crumbs:
                field = {"crumbRequestField": "Jenkins-Crumb", "crumb": here.crumb}
                self._answer(200, field, Set_Cookie=f"{SESSION}; Path=/; HttpOnly")
            else:
                self._answer(404)
        elif urlsplit(self.path).path in {f"{job}/api/json" for job in here.jobs}:
            defined = [
                {"name": name, **({"choices": choices} if choices else {})} for name, choices in here.parameters.items()
            ]
            self._answer(200, {**here.job, "property": [{}, {"parameterDefinitions": defined}]})
        elif self.path == "/queue/item/3/api/json" and here.queue == [{}]:
            self._answer(404)
        elif self.path == "/queue/item/3/api/json":
            begun = {"executable": {"number": 7, "url": "https://jenkins.example.net/job/hello/7/"}}
            self._answer(200, here.queue.pop(0) if here.queue else begun)
        elif urlsplit(self.path).path in {f"{job}/7/api/json" for job in here.jobs}:
            here.building -= 1
            runs = here.building >= 0
            found = {"building": runs, "result": None if runs else here.result, "duration": 0 if runs else 61500}
            self._answer(200, {**found, "url": "https://jenkins.example.net/job/hello/7/"})
        else:
            self._answer(404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if not self._known():
            return
        here = self.jenkins
        proved = self.headers.get("Jenkins-Crumb") == CRUMB and self.headers.get("Cookie") == SESSION
        if here.crumbs and not proved:
            self._answer(403)
        elif here.refuses == 302:
            self._answer(302, Location=f"{here.url}{self.path.removesuffix('buildWithParameters')}")
        elif here.refuses == -1:
            here.started.append(dict(parse_qsl(body)))
            self.close_connection = True
        elif here.refuses:
            self._answer(here.refuses)
        elif self.path.removesuffix("/buildWithParameters") not in here.jobs:
            self._answer(404)
        else:
            here.started.append(dict(parse_qsl(body)))
            # Its own idea of its address is not where the token may go.
            self._answer(201, Location=here.location or "https://elsewhere.example.net/queue/item/3/")


@contextmanager
def jenkins(tls: ssl.SSLContext | None = None, **how: Any) -> Iterator[JenkinsStandIn]:
    """Run one, with `tls` over https; `url` says where."""
    made = JenkinsStandIn(**how)
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"jenkins": made})) as server:
        made.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
