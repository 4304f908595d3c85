"""The real programs judge images: hadolint every Dockerfile, and the languages run their own health checks."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.ci.dockerfile import image_files
from generator.ci.languages import LANGUAGES
from generator.ci.project import load_project
from tests.ci.samples import EVERYTHING, sample
from tests.golden.ci_cases import CONTAINER_CASES
from tests.tools.test_node_tools import program

pytestmark = pytest.mark.tools

TEXTS = {
    **{case.name: image_files(case.project()).dockerfile for case in CONTAINER_CASES},
    "everything": image_files(load_project(EVERYTHING)).dockerfile,
    "mirrored": image_files(load_project(EVERYTHING), "registry.example.net:5000/mirror").dockerfile,
    **{
        f"{language}-{'checked' if checked else 'plain'}": image_files(
            sample(language=language, run={"command": ["x"], "writable": ["/tmp", "/var/cache/x"]},
                   health={"command": ["x"]}, build={"command": "make", "artifact": "x"},
                   docker={"healthcheck": checked})
        ).dockerfile
        for language in LANGUAGES for checked in (True, False)
    },
}  # fmt: skip


def hadolint(text: str) -> subprocess.CompletedProcess[str]:
    beside = Path(sys.executable).with_name("hadolint")
    found = str(beside) if beside.is_file() else shutil.which("hadolint")
    if found is None:
        pytest.skip("hadolint is not installed; make setup brings it")
    return subprocess.run([found, "--no-color", "-"], input=text, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if text])
def test_hadolint_has_nothing_to_say(name: str) -> None:
    judged = hadolint(TEXTS[name])
    assert (judged.returncode, judged.stdout) == (0, ""), judged.stdout + judged.stderr


def test_hadolint_sees_what_is_wrong() -> None:
    text = TEXTS["everything"].replace('ENTRYPOINT ["python", "-m", "hello"]', "ENTRYPOINT python -m hello")
    text = re.sub(r"^FROM .*AS build$", "FROM docker.io/library/python:latest AS build", text, flags=re.MULTILINE)
    judged = hadolint(text)
    assert judged.returncode == 1 and {"DL3007", "DL3025"} <= set(re.findall(r"DL\d+", judged.stdout))


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Answers) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running.server_port
        running.shutdown()


@pytest.mark.parametrize("language", ["nodejs", "python", "php"])
def test_the_health_check_of_an_image_tells_well_from_sick(language: str, server: int) -> None:
    name = {"nodejs": "node", "python": "python", "php": "php"}[language]
    found = sys.executable if name == "python" else program(name)

    def check(port: int, **health: object) -> int:
        project = sample(
            language=language, run={"command": ["x"]}, health={"port": port, **health}, docker={"healthcheck": True}
        )
        (line,) = (one for one in image_files(project).dockerfile.splitlines() if one.startswith("HEALTHCHECK "))
        words = json.loads(line[line.index("[") :])
        assert words[0] == name
        return subprocess.run([found, *words[1:]], capture_output=True, timeout=30).returncode

    assert check(server, path="/healthz") == 0
    assert check(server, path="/sick") != 0
    assert check(server, tcp=True) == 0
    assert check(1, tcp=True) != 0
    assert check(1, path="/healthz") != 0
