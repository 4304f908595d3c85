"""Verbs of the delivery chain as a user meets them: begin a project, check it, make its files."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from invoke.context import Context
from invoke.exceptions import Exit

from generator.ci.beginning import project_text
from generator.ci.project import load_project, load_project_file
from generator.errors import SpecError
from generator.spec import load
from tests.ci.samples import EVERYTHING, MACHINES, PLAIN
from tests.fleet.test_json_documents import schema
from tests.verbs.test_verbs import invoke
from verbs import ci, ci_jobs, ci_new, ci_pipeline, ci_project

CLUSTER = Path(__file__).parents[1] / "golden" / "clusters" / "minimal" / "cluster.yaml"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "workspace"
    folder = root / "clusters" / "minimal"
    folder.mkdir(parents=True)
    shutil.copy(CLUSTER, folder)
    monkeypatch.setenv("SLIPWAY_ROOT", str(root))
    monkeypatch.delenv("SLIPWAY_CLUSTER", raising=False)
    monkeypatch.setattr(ci_project, "today", lambda: date(2026, 11, 20))
    return root


def projects(workspace: Path) -> Path:
    folder = workspace / "clusters" / "minimal" / "projects"
    folder.mkdir(exist_ok=True)
    return folder


def run(verb: Any, **options: Any) -> tuple[int, str]:
    """Run a verb; returns its exit code and its error."""
    try:
        verb(Context(), **options)
    except Exit as end:
        return end.code, end.message or ""
    return 0, ""


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal as standard input; what is written to the number that it yields was typed."""
    keyboard, screen = pty.openpty()
    with os.fdopen(screen) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield keyboard
    os.close(keyboard)


def test_a_whole_way_from_nothing_to_dockerfile_and_values(workspace: Path) -> None:
    source = workspace / "source"
    source.mkdir()
    assert "there is no project yet" in invoke(workspace, "ci.validate").stdout
    done = invoke(workspace, "ci.new", "--name", "hello", "--no-input", "--set", "scaling.max=5")
    assert (done.returncode, done.stderr) == (0, "")
    assert "wrote clusters/minimal/projects/hello.yaml" in done.stdout
    done = invoke(workspace, "ci.validate")
    assert done.stdout == "hello: the project file holds (go, container, dev, prd)\n"
    shown = invoke(workspace, "ci.dockerfile", "--project", "hello")
    written = invoke(workspace, "ci.dockerfile", "--project", "hello", "--out", str(source))
    assert (shown.returncode, written.returncode) == (0, 0)
    assert (source / "Dockerfile").read_text() == shown.stdout
    assert ".git/" in (source / ".dockerignore").read_text()
    values = invoke(workspace, "ci.values", "--project", "hello", "--env", "dev", "--image", "r.example.net/hello:1-1")
    assert "  repository: r.example.net/hello\n  tag: 1-1\n" in values.stdout


def test_a_file_that_is_there_is_never_overwritten(workspace: Path) -> None:
    path = projects(workspace) / "hello.yaml"
    path.write_text("mine\n")
    code, error = run(ci_new.new, name="hello", no_input=True)
    assert code == 1 and "clusters/minimal/projects/hello.yaml exists already" in error
    assert path.read_text() == "mine\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "Hello"}, "--name Hello: use at most 63 lower-case letters"),
        ({"name": "../x"}, "--name ../x: use at most 63"),
        ({"set": ["language"]}, "--set language: no value; write KEY=VALUE"),
        ({"set": ["language=golang"]}, "'golang' is no choice; write go or java or php or nodejs or python"),
        ({"set": ["run.prt=1"]}, "there is no such question here; did you mean run.port?"),
        ({"set": ["run.port=many"]}, "run.port: is not a whole number"),
        ({"set": ["run.command=/app/x 'open"]}, "no closing quotation; close the quote"),
        ({"set": ["git.url=https://a:b@git.example.net/x"]}, "git.url: the URL holds a user, password or token"),
        ({"set": ["environments=dev,stage"]}, "environments.stage: 'stage' is not known here"),
        ({"set": ["deploy=vm"]}, "environments.dev.hosts: is missing, and deploy is vm"),
    ],
)
def test_answers_that_make_no_project_write_nothing(workspace: Path, options: dict[str, Any], said: str) -> None:
    code, error = run(ci_new.new, **{"name": "hello", "no_input": True, **options})
    assert code == 1 and said in error, error
    assert not list(projects(workspace).iterdir())


@pytest.mark.parametrize("language", ["go", "java", "php", "nodejs", "python"])
@pytest.mark.parametrize("deploy", ["container", "vm"])
def test_what_is_suggested_makes_a_project_in_every_language(workspace: Path, language: str, deploy: str) -> None:
    answers = [f"language={language}", f"deploy={deploy}", "environments=qa"]
    answers += ["environments.qa.hosts=vm-1, 10.0.0.5"] if deploy == "vm" else []
    assert run(ci_new.new, name="my-app", no_input=True, set=answers) == (0, "")
    project = load_project_file(projects(workspace) / "my-app.yaml")
    assert (project.spec.language, project.spec.deploy, project.warnings) == (language, deploy, ())
    assert project.environment("qa").hosts == (("vm-1", "10.0.0.5") if deploy == "vm" else ())


@pytest.mark.parametrize("language", ["go", "java", "php", "nodejs", "python"])
@pytest.mark.parametrize("deploy", ["container", "vm"])
def test_every_option_of_a_new_file_may_be_taken_up(language: str, deploy: str) -> None:
    answers = {"language": language, "deploy": deploy, "environments": "dev"}
    text = project_text("hello", answers | ({"environments.dev.hosts": "vm-1"} if deploy == "vm" else {}))
    every = re.sub(r"^( *)#- ?", r"\1", text, flags=re.MULTILINE)
    assert every.count("\n") == text.count("\n") and "#-" not in every.split("\n", 1)[1]
    with pytest.raises(SpecError) as caught:
        load_project(every)
    # The one thing that has no default: which webhook.
    (fault,) = caught.value.faults
    assert fault.path == "notify[0].secret"
    assert load_project(every.replace("secret: null", "secret: hello-webhook")).spec.deploy == deploy


def test_a_terminal_is_asked_and_asked_again_where_an_answer_is_wrong(
    workspace: Path, terminal: int, capsys: pytest.CaptureFixture[str]
) -> None:
    # In the order of the questions; a wrong language at once, a wrong port and path after all.
    typed = [
        "https://git.example.net/shop/web", "ruby", "nodejs", "", "", "", "99999", "healthz", "/tmp, /app/cache", "",
        "3", "", "prd", "", "9000", "/up",
    ]  # fmt: skip
    os.write(terminal, "".join(f"{line}\n" for line in typed).encode() + b"\x04")
    assert run(ci_new.new, name="web") == (0, "")
    told = capsys.readouterr()
    assert "'ruby' is no choice" in told.err and "run.port: should be less than or equal to 65535" in told.err
    spec = load_project_file(projects(workspace) / "web.yaml").spec
    assert (spec.git.url, spec.language, spec.run.port) == ("https://git.example.net/shop/web", "nodejs", 9000)
    assert (spec.health.path, spec.run.writable, spec.scaling.replicas) == ("/up", ["/tmp", "/app/cache"], 3)
    assert spec.environments["prd"].domain == "web.example.net"


def test_a_terminal_that_ends_writes_nothing(workspace: Path, terminal: int) -> None:
    os.write(terminal, b"\n\x04")
    assert run(ci_new.new, name="web") == (
        1,
        "error: web: the input ended before the last question, and nothing was written",
    )
    assert not list(projects(workspace).iterdir())


def test_all_faults_of_all_projects_are_told_at_once(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (projects(workspace) / "a.yaml").write_text(PLAIN)
    (projects(workspace) / "b.yaml").write_text(MACHINES + "x: 1\n")
    code, error = run(ci.validate)
    assert code == 1
    assert "clusters/minimal/projects/a.yaml:4: metadata.name" in error
    assert "clusters/minimal/projects/b.yaml:13: x: is not a key here" in error
    assert run(ci.validate, json=True)[0] == 1
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, schema("ci.validate"))
    assert [fault["line"] for fault in document["faults"]] == [4, 13]


def test_warnings_are_told_and_stop_nothing(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    waiver = '{id: CVE-2026-0001, until: "2026-11-25", reason: x}'
    path = workspace / "anywhere.yaml"
    path.write_text(f"{PLAIN}waivers: [{waiver}]\n")
    assert run(ci.validate, project=str(path)) == (0, "")
    assert "warning: anywhere.yaml:10: waivers[0].until" in capsys.readouterr().err
    assert run(ci.validate, project=str(path), json=True) == (0, "")
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, schema("ci.validate"))
    assert "ends in 5 days" in document["warnings"][0]
    path.write_text(path.read_text().replace("2026-11-25", "2026-11-19"))
    assert "ended on 2026-11-19, and today is 2026-11-20" in run(ci.dockerfile, project=str(path))[1]


def test_what_the_cluster_does_not_have_is_warned_of(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mail = "notify: [{kind: slack, secret: hook}, {kind: mail, to: [team@example.net]}]\n"
    (projects(workspace) / "hello.yaml").write_text(f"{PLAIN}run: {{port: 443}}\n{mail}")
    spec = workspace / "clusters" / "minimal" / "cluster.yaml"
    plain = spec.read_text()

    def told() -> list[str]:
        assert run(ci.validate) == (0, "")
        return capsys.readouterr().err.splitlines()

    assert told() == [
        "warning: clusters/minimal/projects/hello.yaml:10: run.port: 443 is for root alone in Kubernetes 1.20, and the "
        "chart refuses it; listen on one from 1024 on; the Service has port 80 all the same"
    ]
    plain = plain.replace('kubernetes: "1.20.2"', 'kubernetes: "1.22.17"')
    spec.write_text(plain)
    assert load(workspace, "minimal").versions.minor == (1, 22) and told() == []
    needed = "toolsImage: r.example.net/t:1, library: {url: 'https://a.b/c'}, configuration: {url: 'https://a.b/c'}"
    spec.write_text(f"{plain}addons: {{jenkins: {{enabled: true, {needed}, mail: {{host: null}}}}}}\n")
    assert load(workspace, "minimal").addons.jenkins.enabled
    assert told() == [
        "warning: clusters/minimal/projects/hello.yaml:11: notify[1]: minimal has no server for mail; set "
        "addons.jenkins.mail.host"
    ]
    spec.write_text(spec.read_text().replace("host: null", "host: mail.example.net, from: ci@example.net"))
    assert told() == []
    # A cluster with faults has a verb of its own that tells them.
    spec.write_text("nonsense")
    assert told() == []


def test_the_registry_is_that_of_the_cluster_unless_another_is_said(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = projects(workspace) / "hello.yaml"
    path.write_text(PLAIN)

    def first_base(**options: Any) -> str:
        assert run(ci.dockerfile, **options) == (0, "")
        return capsys.readouterr().out.splitlines()[1].split()[1].partition("/library")[0]

    assert first_base(project="hello") == "docker.io"
    spec = workspace / "clusters" / "minimal" / "cluster.yaml"
    spec.write_text(f"{spec.read_text()}addons: {{registry: registry.example.net:5000/mirror}}\n")
    assert first_base(project="hello") == "registry.example.net:5000/mirror"
    assert first_base(project=str(path)) == "registry.example.net:5000/mirror"
    assert first_base(project="hello", registry="other.example.net") == "other.example.net"
    outside = workspace / "outside.yaml"
    outside.write_text(PLAIN)
    assert first_base(project=str(outside)) == "docker.io"
    assert first_base(project=str(outside), cluster="minimal") == "registry.example.net:5000/mirror"


def test_a_dockerfile_that_is_not_ours_stays(workspace: Path) -> None:
    (projects(workspace) / "hello.yaml").write_text(PLAIN)
    source = workspace / "source"
    source.mkdir()
    (source / "Dockerfile").write_text("FROM mine\n")
    code, error = run(ci.dockerfile, project="hello", out=str(source))
    assert code == 1 and "is not of our making and stays; name it in docker.file" in error
    assert not (source / ".dockerignore").exists()
    (source / "Dockerfile").unlink()
    for _ in range(2):
        assert run(ci.dockerfile, project="hello", out=str(source)) == (0, "")
    assert {path.name for path in source.iterdir()} == {"Dockerfile", ".dockerignore"}


def test_a_dockerignore_of_the_project_stays_beside_our_dockerfile(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (projects(workspace) / "hello.yaml").write_text(PLAIN)
    (workspace / ".dockerignore").write_text("mine\n")
    assert run(ci.dockerfile, project="hello", out=str(workspace)) == (0, "")
    told = capsys.readouterr()
    assert told.out == f"wrote Dockerfile into {workspace}\n" and "is the project's own and stays" in told.err
    assert (workspace / ".dockerignore").read_text() == "mine\n"
    assert (workspace / "Dockerfile").read_text().startswith("# Made from the project file of hello")


@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore"])
def test_nothing_is_written_through_a_link(workspace: Path, name: str) -> None:
    (projects(workspace) / "hello.yaml").write_text(PLAIN)
    (workspace / name).symlink_to(workspace / "elsewhere")
    code, error = run(ci.dockerfile, project="hello", out=str(workspace))
    assert (code, "is not of our making and stays" in error) == ((1, True) if name == "Dockerfile" else (0, False))
    assert not (workspace / "elsewhere").exists()
    (workspace / "values-dev.yaml").symlink_to(workspace / "elsewhere")
    assert run(ci.values_, project="hello", env="dev", out=str(workspace)) == (0, "")
    assert not (workspace / "elsewhere").exists() and not (workspace / "values-dev.yaml").is_symlink()


def test_what_cannot_be_written_is_one_clear_sentence(workspace: Path) -> None:
    (projects(workspace) / "hello.yaml").write_text(PLAIN)
    (workspace / "values-dev.yaml").mkdir()
    code, error = run(ci.values_, project="hello", env="dev", out=str(workspace))
    assert code == 1 and "values-dev.yaml: cannot be written (Is a directory); " in error
    assert not list(workspace.glob(".values*"))
    shutil.rmtree(projects(workspace))
    (workspace / "clusters" / "minimal" / "projects").write_text("a file")
    code, error = run(ci_new.new, name="hello", no_input=True)
    assert code == 1 and "clusters/minimal/projects/hello.yaml: cannot be written (" in error


def test_an_image_is_told_as_described(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (projects(workspace) / "hello.yaml").write_text(EVERYTHING)
    assert run(ci.dockerfile, project="hello", json=True) == (0, "")
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, schema("ci.dockerfile"))
    assert document["buildArguments"] == [
        "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "REVISION", "VERSION",
    ]  # fmt: skip
    assert document["secret"] == {"id": "pip-conf", "target": "/etc/pip.conf"}
    (projects(workspace) / "hello.yaml").write_text(f"{PLAIN}docker: {{file: docker/Dockerfile}}\n")
    assert run(ci.dockerfile, project="hello", json=True) == (0, "")
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, schema("ci.dockerfile"))
    assert (document["own"], document["dockerfile"], document["secret"]) == ("docker/Dockerfile", "", None)


def test_the_cluster_says_registry_and_pull_secret_unless_the_caller_does(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (projects(workspace) / "hello.yaml").write_text(PLAIN)
    push = "addons:\n  jenkins: {push: {registry: registry.example.net/apps, pullSecret: registry-pull}}\n"
    with (workspace / "clusters" / "minimal" / "cluster.yaml").open("a") as file:
        file.write(push)
    for given, expected in (({}, ["registry-pull"]), ({"pull_secret": ["own"]}, ["own"])):
        assert run(ci.values_, project="hello", env="dev", json=True, **given) == (0, "")
        document = json.loads(capsys.readouterr().out)
        assert document["pullSecrets"] == expected
        assert document["image"] == {"repository": "registry.example.net/apps/hello", "tag": "", "digest": ""}
    assert run(ci_pipeline.stages_, project="hello", env="dev", json=True) == (0, "")
    document = json.loads(capsys.readouterr().out)
    assert document["image"]["repository"] == "registry.example.net/apps/hello"
    assert document["release"]["commands"][0][-2:] == ["--pull-secret", "registry-pull"]


def test_values_of_all_environments_go_into_a_folder(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (projects(workspace) / "hello.yaml").write_text(PLAIN)
    assert run(ci.values_, project="hello", out=str(workspace)) == (0, "")
    assert {path.name for path in workspace.glob("values-*")} == {"values-dev.yaml", "values-prd.yaml"}
    capsys.readouterr()
    assert run(ci.values_, project="hello", env="dev", json=True, pull_secret=["a", "b"]) == (0, "")
    document = json.loads(capsys.readouterr().out)
    assert (document["pullSecrets"], document["ingress"]["host"]) == (["a", "b"], "hello.dev.example.net")


@pytest.mark.parametrize(
    ("verb", "options", "said"),
    [
        (ci.values_, {"project": "hello"}, "say for which environment with --env (there are: dev, prd)"),
        (ci.values_, {"project": "hello", "env": "prod"}, "has no environment 'prod'; did you mean prd?"),
        (ci.values_, {"project": "hello", "env": "dev", "image": "hello"}, "'hello' is no image"),
        (ci.values_, {"project": "hello", "out": "/nowhere"}, "--out /nowhere: no such directory"),
        (
            ci.values_,
            {"project": "hello", "env": "dev", "pull_secret": ["A b"]},
            "--pull-secret: 'A b' is not the name",
        ),
        (
            ci.dockerfile,
            {"project": "hello", "registry": "https://r.example.net"},
            "--registry: 'https://r.example.net' is",
        ),
        (ci.values_, {"project": "vm", "env": "prd"}, "runs on virtual machines"),
        (ci.dockerfile, {"project": "vm"}, "runs on virtual machines and has no image"),
        (ci.dockerfile, {"project": "hello", "out": "/nowhere"}, "--out /nowhere: no such directory"),
        (ci.dockerfile, {"project": "helo"}, "no project helo in"),
        (ci.dockerfile, {"project": "./none.yaml"}, "cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_is_one_clear_sentence(workspace: Path, verb: Any, options: dict[str, Any], said: str) -> None:
    (projects(workspace) / "hello.yaml").write_text(PLAIN)
    (projects(workspace) / "vm.yaml").write_text(MACHINES.replace("name: hello}", "name: vm}"))
    code, error = run(verb, **options)
    assert code == 1 and said in error, error


def test_jobs_are_shown_as_jenkins_gets_them(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ci_jobs.jobs_(Context())
    assert yaml.safe_load(capsys.readouterr().out) == {"jobs": []}
    folder = workspace / "clusters" / "minimal" / "projects"
    folder.mkdir()
    (folder / "hello.yaml").write_text(PLAIN)
    ci_jobs.jobs_(Context(), json=True)
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, schema("ci.jobs"))
    assert [one["script"].splitlines()[0] for one in document["jobs"]] == ["pipelineJob('hello') {"]
