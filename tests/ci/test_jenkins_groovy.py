"""What the addon gives Jenkins to run, under real Groovy: the jobs, and the script that fills the Secrets of agents.

Job DSL and Jenkins are stand-ins that know what is documented (tests/ci/groovy); neither is run.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fleet.jenkins import Jenkins, login_from
from generator.ci.jobs import groovy, jobs
from generator.pki.issuing import certificate_pem, key_pem
from tests.ci.jenkins_stand_in import TOKEN, USER, jenkins
from tests.ci.test_groovy import HERE, java
from tests.ci.test_jobs import project, section
from tests.fleet.certificate_maker import TestCa

pytestmark = [
    pytest.mark.tools,
    pytest.mark.skipif(
        not (shutil.which("groovyc") and shutil.which("java")), reason="needs Groovy (package groovy, with a Java)"
    ),
]
SCRIPT = HERE.parents[2] / "addons/jenkins/init/agentSecrets.groovy"


def made(script: str) -> list[dict[str, Any]]:
    """Return the jobs that a script of Job DSL makes."""
    words = ["groovy", "-Dfile.encoding=UTF-8", str(HERE / "jobs.groovy")]
    done = subprocess.run(words, env=java(), capture_output=True, text=True, input=script)
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_a_job_is_at_the_root_under_the_name_and_with_the_parameters_that_the_trigger_sends() -> None:
    (one,) = jobs([project("hello")], "first", section(git={"secret": "ops-git"}, approvers=["anna"]))
    (job,) = made(one["script"])
    assert job["name"] == "hello" and job["sandbox"]
    # One that waits for its approval keeps no other waiting; the library keeps releases apart.
    assert "oneAtATime" not in job
    assert job["parameters"] == {"ENVIRONMENT": ["", "dev", "prd"], "BRANCH": ""}
    assert job["script"].startswith("@Library('slipway') _\n\nslipwayPipeline(\n    project: 'hello',\n")
    with jenkins(jobs=(f"/job/{job['name']}",)) as here:
        client = Jenkins(here.url, login_from(f"{USER}:{TOKEN}".encode(), "test"))
        assert client.start("hello", {"ENVIRONMENT": "dev", "BRANCH": "v1"}) == 3
        (sent,) = here.started
    assert sent.keys() <= job["parameters"].keys() and sent["ENVIRONMENT"] in job["parameters"]["ENVIRONMENT"]


def test_texts_are_read_by_groovy_as_they_were() -> None:
    texts = ["", "it's", "a\\b", "\\u0024", "${HOME} $x", "two\nlines\r", "'''", "ü 中", 'say "x"']
    blocks = [
        f"pipelineJob('x') {{\n  description({groovy(text)})\n"
        f"  definition {{ cps {{ script({groovy(groovy(text))}) }} }}\n}}\n"
        for text in texts
    ]
    found = made("".join(blocks))
    assert [job["description"] for job in found] == texts
    inner = "".join(f"pipelineJob('x') {{ description({job['script']}) }}\n" for job in found)
    assert [job["description"] for job in made(inner)] == texts


def test_the_stand_in_for_job_dsl_takes_nothing_that_is_not_documented() -> None:
    (one,) = jobs([project("hello")], "first", section())
    with pytest.raises(AssertionError, match=r"MissingMethodException.*sandboxed"):
        made(one["script"].replace("sandbox(true)", "sandboxed(true)"))


@dataclass
class Api:
    """What an API has been asked, and the statuses of its next answers."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    asked: list[tuple[str, str, str, Any]] = field(default_factory=list)
    filled: threading.Event = field(default_factory=threading.Event)


@contextmanager
def api(folder: Path, expected: int, statuses: list[int]) -> Iterator[Api]:
    """Run an API with a certificate of its own CA; token and CA lie where a pod has them."""
    ca = TestCa.made()
    leaf, key = ca.leaf(["IP:127.0.0.1"])
    (folder / "tls.crt").write_text(certificate_pem(leaf))
    (folder / "tls.key").write_bytes(key_pem(key))
    (folder / "ca.crt").write_text(certificate_pem(ca.certificate))
    (folder / "token").write_text("token-of-jenkins\n")
    here = Api(statuses=statuses)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

        def do_PATCH(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = here.statuses.pop(0) if here.statuses else 200
            if status == 200:
                who, kind = str(self.headers["Authorization"]), str(self.headers["Content-Type"])
                here.asked.append((self.path, who, kind, body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            if len(here.asked) == expected:
                here.filled.set()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        here.url = f"https://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield here
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in for the controller, compiled."""
    out = tmp_path_factory.mktemp("controller")
    source = str(HERE / "stand_ins/jenkins/model/Jenkins.groovy")
    done = subprocess.run(["groovyc", "-d", str(out), source], env=java(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@contextmanager
def running(controller: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run the script as Jenkins does at its start, until the block ends."""
    words = ["groovy", "-cp", str(controller), str(HERE / "agent_secrets.groovy"), str(SCRIPT)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(words, env={**java(), **environment}, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def test_each_agent_finds_the_secret_that_jenkins_made_for_it(controller: Path, tmp_path: Path) -> None:
    with api(tmp_path, 2, statuses=[403]) as here:
        environment = {
            "SLIPWAY_API": here.url,
            "SLIPWAY_ACCOUNT": str(tmp_path),
            "SLIPWAY_AGENTS": "go=jenkins-agents/agent-go slipway=jenkins-build/agent-slipway",
            "STAND_IN_NODES": "go slipway",
        }
        # Refused at first, it comes again.
        with running(controller, **environment):
            assert here.filled.wait(60)
    secrets = ("jenkins-agents/secrets/agent-go", "jenkins-build/secrets/agent-slipway")
    assert [asked[0] for asked in here.asked] == [f"/api/v1/namespaces/{one}" for one in secrets]
    for (_, who, kind, body), name in zip(here.asked, ("go", "slipway"), strict=True):
        assert who == "Bearer token-of-jenkins" and kind == "application/merge-patch+json"
        assert {key: base64.b64decode(value).decode() for key, value in body["data"].items()} == {
            "secret": f"secret-of-{name}"
        }


def test_an_api_that_another_ca_signed_is_told_nothing(controller: Path, tmp_path: Path) -> None:
    with api(tmp_path, 1, statuses=[]) as here:
        (tmp_path / "ca.crt").write_text(certificate_pem(TestCa.made("another").certificate))
        environment = {
            "SLIPWAY_API": here.url,
            "SLIPWAY_ACCOUNT": str(tmp_path),
            "SLIPWAY_AGENTS": "go=jenkins-agents/agent-go",
            "STAND_IN_NODES": "go",
        }
        with running(controller, **environment) as process:
            said = next(line for line in process.stdout or () if "secrets of agents:" in line)
    assert not here.asked and "token" not in said and "tried again" in said


def test_nothing_is_asked_where_no_agent_runs_all_the_time(controller: Path) -> None:
    words = ["groovy", "-cp", str(controller), str(HERE / "agent_secrets.groovy"), str(SCRIPT)]
    environment = {key: value for key, value in java().items() if key != "SLIPWAY_AGENTS"}
    done = subprocess.run(words, env=environment, input="x", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "secrets of agents" not in done.stderr
    assert "SLIPWAY_AGENTS" not in os.environ
