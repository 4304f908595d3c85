"""What a mirror and its checksum files say, read from a server on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fleet.artifact_sources import digests_and_sizes, published_digests, stated_digest
from generator.errors import ArtifactError

CONTENT = b"a binary" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
OTHER = "0" * 64
FILES = {
    "/kubelet": CONTENT,
    "/kubelet.sha256": DIGEST.encode(),
    "/SHA256SUMS": f"{OTHER}  etcd-arm64.tar.gz\n{DIGEST}  etcd-amd64.tar.gz\n".encode(),
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = FILES.get(self.path)
        short = self.path == "/short"
        self.send_response(200 if content or short else 404)
        self.send_header("Content-Length", str(100 if short else len(content or b"")))
        self.end_headers()
        self.wfile.write(b"x" if short else content or b"")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        thread.join()


def test_a_mirror_is_read_whole(server: str) -> None:
    assert digests_and_sizes([f"{server}/kubelet"] * 3) == [(DIGEST, len(CONTENT))] * 3


def test_checksum_files_of_both_forms(server: str) -> None:
    found = published_digests([(f"{server}/kubelet.sha256", "kubelet"), (f"{server}/SHA256SUMS", "etcd-amd64.tar.gz")])
    assert found == [DIGEST, DIGEST]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (DIGEST, DIGEST),
        (DIGEST.upper() + "\n", DIGEST),
        (f"{DIGEST} *runc.amd64\n", DIGEST),
        (f"{DIGEST}  ./out/runc.amd64\n", DIGEST),
        (f"{DIGEST}  runc.arm64\n", None),
        (f"{DIGEST}  not-runc.amd64\n", None),
        ("<html>", None),
        ("", None),
        (f"{DIGEST}\n{OTHER}\n", None),
    ],
)
def test_a_digest_is_only_believed_where_it_is_of_this_file(text: str, found: str | None) -> None:
    assert stated_digest(text, "runc.amd64") == found


@pytest.mark.parametrize("path", ["/nothing", "/short"])
def test_what_cannot_be_read_is_one_clear_error(server: str, path: str) -> None:
    with pytest.raises(ArtifactError, match=f"{path}: it "):
        digests_and_sizes([f"{server}{path}"])


def test_an_unstated_digest_a_closed_port_and_a_local_file_are_errors(server: str) -> None:
    with pytest.raises(ArtifactError, match="states no SHA-256 for kubelet"):
        published_digests([(f"{server}/SHA256SUMS", "kubelet")])
    with pytest.raises(ArtifactError, match="cannot be read"):
        digests_and_sizes(["http://127.0.0.1:1/x"])
    with pytest.raises(ArtifactError, match="only http and https"):
        digests_and_sizes(["file:///etc/passwd"])
