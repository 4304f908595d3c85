"""An API of Kubernetes that knows Secrets alone, over plain HTTP: enough for the real helm with a chart that is empty.

helm sends what it stores as protobuf and takes JSON as well
(https://github.com/kubernetes/api/blob/master/core/v1/generated.proto).
"""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

Value = dict[str, Any]
GROUPS: Value = {"kind": "APIGroupList", "apiVersion": "v1", "groups": []}
CORE: Value = {
    "kind": "APIResourceList",
    "groupVersion": "v1",
    "resources": [
        {"name": "secrets", "kind": "Secret", "namespaced": True, "singularName": "secret", "verbs": ["get", "list"]}
    ],
}
FIXED: dict[str, Value] = {
    "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.1"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": GROUPS,
    "/api/v1": CORE,
}


class SecretsApi:
    """What is stored, by name, and the address of the API; while `held`, nothing that is stored changes any more."""

    def __init__(self) -> None:
        self.secrets: dict[str, Value] = {}
        self.asked: list[str] = []
        self.held = threading.Event()
        self.waiting = threading.Event()
        self.url = ""

    def answer(self, method: str, target: str, body: Value | None) -> tuple[int, Value]:
        """Return status and document of one request."""
        parts = urlsplit(target)
        self.asked.append(f"{method} {parts.path}")
        if parts.path in FIXED:
            return 200, FIXED[parts.path]
        words = parts.path.strip("/").split("/")
        if words[:3] != ["api", "v1", "namespaces"] or len(words) < 5 or words[4] != "secrets":
            return 404, _status(404, "NotFound", f"{parts.path} not found")
        if len(words) == 5 and method == "GET":
            return 200, {"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": self.listed(parts.query)}
        name = words[5] if len(words) == 6 else str((body or {})["metadata"]["name"])
        if method == "POST" and name in self.secrets:
            return 409, _status(409, "AlreadyExists", f'secrets "{name}" already exists')
        if method != "POST" and name not in self.secrets:
            return 404, _status(404, "NotFound", f'secrets "{name}" not found')
        if method == "DELETE":
            del self.secrets[name]
            return 200, _status(200, "", "")
        if body is not None:
            self.secrets[name] = {**body, "kind": "Secret", "apiVersion": "v1"}
        return 201 if method == "POST" else 200, self.secrets[name]

    def listed(self, query: str) -> list[Value]:
        """Return the Secrets with the labels that are asked for."""
        selector = parse_qs(query).get("labelSelector", [""])[0]
        wanted = dict(pair.split("=", 1) for pair in selector.replace("==", "=").split(",") if pair)
        return [one for one in self.secrets.values() if wanted.items() <= one["metadata"].get("labels", {}).items()]


def _fields(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the fields of a protobuf message that hold bytes; numbers are passed over."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = text[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(text):
        key = number()
        length = number()
        if key & 7 == 2:
            yield key >> 3, text[at : at + length]
            at += length


def _entries(message: bytes, field: int) -> dict[str, bytes]:
    pairs = (dict(_fields(one)) for number, one in _fields(message) if number == field)
    return {pair[1].decode(): pair.get(2, b"") for pair in pairs}


def _secret(text: bytes) -> Value:
    """Return what a request holds, in JSON or protobuf."""
    if not text.startswith(b"k8s\0"):
        found: Value = json.loads(text)
        return found
    message = dict(_fields(text[4:]))[2]
    top = dict(_fields(message))
    meta = dict(_fields(top[1]))
    labels = {key: value.decode() for key, value in _entries(top[1], 11).items()}
    return {
        "metadata": {"name": meta[1].decode(), "namespace": meta[3].decode(), "labels": labels},
        "data": {key: base64.b64encode(value).decode() for key, value in _entries(message, 2).items()},
        "type": top[3].decode(),
    }


def _status(code: int, reason: str, message: str) -> Value:
    outcome = "Success" if code < 400 else "Failure"
    return {"kind": "Status", "apiVersion": "v1", "status": outcome, "code": code, "reason": reason, "message": message}


class _Handler(http.server.BaseHTTPRequestHandler):
    api: SecretsApi
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        if self.command == "PUT" and self.api.held.is_set():
            self.api.waiting.set()
            self.close_connection = True
            while self.api.held.is_set():
                time.sleep(0.02)
            return
        length = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(length)
        status, document = self.api.answer(
            self.command, self.path, _secret(text) if text and self.command != "DELETE" else None
        )
        answer = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve

    def log_message(self, *words: object) -> None:
        return


@contextmanager
def secrets_api() -> Iterator[SecretsApi]:
    """Run such an API on loopback."""
    api = SecretsApi()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": api}))
    api.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield api
    finally:
        api.held.clear()
        server.shutdown()
        server.server_close()
