"""The csr-approver's script on the table of good and forged requests, with a stand-in for kubectl and the real one."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from generator.components import csr_approver
from generator.spec.node_identity import node_line
from tests.components.sample import flags_of, host_items, named_host, sample_cluster, text_of
from tests.serving.cases import (
    ADDRESSES,
    CASES,
    NAMED,
    OWN,
    OWN_NAMES,
    Case,
    der,
    extension_request,
    names_extension,
    pem,
)

SCRIPT = Path(csr_approver.__file__).with_name("csr-approver.sh")
ALL = (*CASES, *NAMED)

STAND_IN = """\
#!{python}
import json, os, sys
from urllib.parse import quote_plus
assert sys.stdin.read() == ""
words = [word for word in sys.argv[1:] if not word.startswith("--")]
here = os.environ["STAND_IN"]
if words[0] == "certificate":
    assert words[1] == "approve" and len(words) == 3, words
    with open(here + "/approved", "a") as file:
        file.write(json.dumps(words[2]) + "\\n")
elif words[1].startswith("certificatesigningrequests"):
    for item in json.load(open(here + "/requests.json")):
        spec = item["spec"]
        lists = [
            "".join(quote_plus(one) + "," for one in many)
            for many in (spec["groups"], spec["usages"], [c["type"] for c in item["status"].get("conditions", [])])
        ]
        print("n:%s s:%s u:%s g:%s a:%s c:%s %s" % (
            quote_plus(item["metadata"]["name"]), quote_plus(spec["signerName"]), quote_plus(spec["username"]),
            *lists, spec["request"]))
else:
    for node, line in json.load(open(here + "/nodes.json")).items():
        print(quote_plus(node) + "+" + quote_plus(line))
"""


def node_lines() -> dict[str, str]:
    """The lines of the listed nodes."""
    base = named_host(sample_cluster(), "w1")
    lines = {}
    for node, addresses in ADDRESSES.items():
        host = dataclasses.replace(
            base, node_name=node, address=addresses[0], secondary_address=next(iter(addresses[1:]), None)
        )
        lines[node] = node_line(host)
    return lines


@dataclass
class Run:
    """What a run of the script did: names approved, and what it said."""

    approved: list[str]
    said: str
    status: int


def run_script(folder: Path, environment: dict[str, str], shell: str = "sh") -> subprocess.CompletedProcess[str]:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [shell, str(SCRIPT)],
        env={"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(home), **environment},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def with_stand_in(folder: Path, cases: Sequence[Case], nodes: dict[str, str] | None = None) -> Run:
    program = folder / "kubectl"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    (folder / "requests.json").write_text(json.dumps([case.object(index) for index, case in enumerate(cases)]))
    (folder / "nodes.json").write_text(json.dumps(node_lines() if nodes is None else nodes))
    (folder / "approved").write_text("")
    done = run_script(folder, {"STAND_IN": str(folder)})
    approved = [json.loads(line) for line in (folder / "approved").read_text().splitlines()]
    return Run(approved, done.stderr, done.returncode)


def wanted() -> list[str]:
    return [case.object(index)["metadata"]["name"] for index, case in enumerate(ALL) if case.good]


def test_only_listed_kubelets_get_their_certificates(tmp_path: Path) -> None:
    run = with_stand_in(tmp_path, ALL)
    assert run.status == 0, run.said
    assert run.approved == wanted()
    assert not list(tmp_path.rglob("pwned"))
    pending = [case for case in ALL if not case.good and not case.conditions]
    assert len(run.said.splitlines()) == len(pending)


def test_a_pending_request_is_named_once(tmp_path: Path) -> None:
    cases = (Case("x", False, b"x"),)
    first, second = with_stand_in(tmp_path, cases), with_stand_in(tmp_path, cases)
    assert "csr-00000 of system%3Anode%3Aw1 stays pending" in first.said
    assert second.said == ""


@pytest.mark.parametrize("line", ["", "30", "30 zz", " 30", "30 ", "+", "3030 30\n30 30"])
def test_a_broken_line_of_the_list_approves_nothing(tmp_path: Path, line: str) -> None:
    assert with_stand_in(tmp_path, (Case("own", True, OWN),), {"w1": line}).approved == []


def test_only_pem_as_go_writes_it_is_read(tmp_path: Path) -> None:
    request = der(extension_request(names_extension(*OWN_NAMES)))
    written = (pem(request), pem(request, width=76), pem(request)[:-1], pem(request).replace(b"\n", b"\r\n"))
    cases = [Case("own", True, one) for one in written]
    assert with_stand_in(tmp_path, cases).approved == ["csr-00000"]


def test_no_list_approves_nothing(tmp_path: Path) -> None:
    assert with_stand_in(tmp_path, (Case("own", True, OWN),), {}).approved == []


def test_a_failing_kubectl_fails_the_run(tmp_path: Path) -> None:
    program = tmp_path / "kubectl"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    assert run_script(tmp_path, {}).returncode != 0


class _Api(BaseHTTPRequestHandler):
    """As much of the API as kubectl asks for: discovery, the requests, the list, approvals."""

    items: dict[str, dict[str, Any]]
    nodes: dict[str, str]
    approved: list[str]

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        group = "/apis/certificates.k8s.io/v1"
        if path == "/api":
            self.answer({"kind": "APIVersions", "versions": ["v1"]})
        elif path == "/api/v1":
            resource = {"name": "configmaps", "namespaced": True, "kind": "ConfigMap", "verbs": ["get"]}
            self.answer({"kind": "APIResourceList", "groupVersion": "v1", "resources": [resource]})
        elif path == "/apis":
            version = {"groupVersion": "certificates.k8s.io/v1", "version": "v1"}
            groups = [{"name": "certificates.k8s.io", "versions": [version], "preferredVersion": version}]
            self.answer({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        elif path == group:
            name = "certificatesigningrequests"
            resource = {
                "name": name,
                "namespaced": False,
                "kind": "CertificateSigningRequest",
                "verbs": ["get", "list"],
            }
            versions = {"kind": "APIResourceList", "groupVersion": "certificates.k8s.io/v1", "resources": [resource]}
            self.answer(versions)
        elif path == f"{group}/certificatesigningrequests":
            kind = "CertificateSigningRequestList"
            self.answer({"kind": kind, "apiVersion": "certificates.k8s.io/v1", "items": list(self.items.values())})
        elif path.startswith(f"{group}/certificatesigningrequests/"):
            self.answer(self.items[unquote(path.rpartition("/")[2])])
        elif path == "/api/v1/namespaces/kube-system/configmaps/slipway-nodes":
            metadata = {"name": "slipway-nodes", "namespace": "kube-system"}
            self.answer({"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": self.nodes})
        else:
            self.send_error(404)

    def do_PUT(self) -> None:
        # The body is whatever encoding kubectl prefers, protobuf in most versions.
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert b"Approved" in body
        name, part = unquote(urlsplit(self.path).path).split("/")[-2:]
        assert part == "approval"
        self.approved.append(name)
        self.answer(self.items[name])

    def answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def api() -> Iterator[tuple[type[_Api], str]]:
    handler = type("Api", (_Api,), {"items": {}, "nodes": node_lines(), "approved": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.tools
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl")
def test_with_the_real_kubectl(tmp_path: Path, api: tuple[type[_Api], str]) -> None:
    handler, url = api
    for index, case in enumerate(ALL):
        made = case.object(index)
        handler.items[made["metadata"]["name"]] = made
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": ""}}],
        "current-context": "c",
    }
    (tmp_path / "config").write_text(json.dumps(config))
    done = run_script(tmp_path, {"KUBECONFIG": str(tmp_path / "config"), "no_proxy": "127.0.0.1"})
    assert done.returncode == 0, done.stderr
    assert handler.approved == wanted()
    assert not list(tmp_path.rglob("pwned"))


def test_the_script_is_plain_posix_shell() -> None:
    for shell in ("dash", "bash"):
        if shutil.which(shell):
            subprocess.run([shell, "-n", str(SCRIPT)], check=True)


@pytest.mark.tools
@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck")
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(["shellcheck", "-s", "sh", str(SCRIPT)], capture_output=True, text=True)
    assert done.stdout == ""


def test_units_of_the_approver() -> None:
    items = host_items(csr_approver.COMPONENT, sample_cluster())
    service = text_of(items["/etc/systemd/system/csr-approver.service"])
    timer = text_of(items["/etc/systemd/system/csr-approver.timer"])
    assert "Type=oneshot" in service and "User=csr-approver" in service and "[Install]" not in service
    assert "OnUnitInactiveSec=20s" in timer and "WantedBy=timers.target" in timer
    assert not flags_of(service)
