"""A small S3-compatible store on loopback that checks every signature itself (AWS Signature Version 4)."""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, urlsplit

ACCESS, SECRET, REGION, BUCKET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-test-1", "backups"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\S+?)/(\d{8})/(\S+?)/s3/aws4_request, SignedHeaders=(\S+), Signature=([0-9a-f]{64})"
)


class Store(ThreadingHTTPServer):
    """Objects by key; `faults` has what the store was asked wrongly, `broken` makes it lose what is put."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.faults: list[str] = []
        self.broken = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving() -> Iterator[Store]:
    """Run a store until the end of the block."""
    store = Store()
    thread = threading.Thread(target=store.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        store.shutdown()
        store.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Store

    def log_message(self, *words: object) -> None:
        """Say nothing."""

    def _fault(self, body: bytes) -> str:
        found = _AUTHORIZATION.fullmatch(self.headers.get("Authorization", ""))
        if found is None:
            return "AccessDenied"
        access, day, region, names, signature = found.groups()
        digest = self.headers["x-amz-content-sha256"]
        if digest != hashlib.sha256(body).hexdigest():
            return "XAmzContentSHA256Mismatch"
        url = urlsplit(self.path)
        query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(parse_qsl(url.query)))
        headers = "".join(f"{name}:{self.headers[name].strip()}\n" for name in names.split(";"))
        whole = "\n".join([self.command, quote(url.path), query, headers, names, digest])
        scope = f"{day}/{region}/s3/aws4_request"
        text = "\n".join(
            ["AWS4-HMAC-SHA256", self.headers["x-amz-date"], scope, hashlib.sha256(whole.encode()).hexdigest()]
        )
        key = f"AWS4{SECRET}".encode()
        for part in (day, region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        good = hmac.new(key, text.encode(), "sha256").hexdigest()
        return "" if (access, region, signature) == (ACCESS, REGION, good) else "SignatureDoesNotMatch"

    def _answer(self, code: int, body: bytes = b"", *, length: int | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self._fault(body)
        if fault:
            self.server.faults.append(fault)
            self._answer(403, f"<Error><Code>{fault}</Code></Error>".encode())
            return
        url = urlsplit(self.path)
        key = url.path.removeprefix(f"/{BUCKET}").removeprefix("/")
        objects = self.server.objects
        match self.command:
            case "PUT" if self.server.broken == "refuses" and key.endswith((".db", ".age")):
                self._answer(507, b"<Error><Code>InsufficientStorage</Code></Error>")
            case "PUT":
                objects[key] = body[:-1] if self.server.broken == "cuts" else body
                self._answer(200)
            case "HEAD":
                self._answer(200 if key in objects else 404, length=len(objects.get(key, b"")))
            case "DELETE":
                objects.pop(key, None)
                self._answer(204)
            case _:
                prefix = dict(parse_qsl(url.query)).get("prefix", "")
                found = "".join(f"<Contents><Key>{one}</Key><Size>1</Size></Contents>" for one in sorted(objects)
                                if one.startswith(prefix))  # fmt: skip
                self._answer(200, f'<?xml version="1.0"?><ListBucketResult>{found}</ListBucketResult>'.encode())

    do_GET = do_PUT = do_HEAD = do_DELETE = _handle
