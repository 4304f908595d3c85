"""The verbs that the pipeline calls, as it calls them."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import date
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from fleet import releases
from fleet.releases import Outcome, Release
from tests.ci import test_grype_report as grype
from tests.ci.samples import EVERYTHING, MACHINES, PLAIN
from tests.ci.test_scanning import report, vulnerability
from tests.fleet.test_json_documents import schema
from verbs import ci_machines, ci_unit
from verbs import ci_pipeline as verbs
from verbs.workspace import Place

CLUSTERS = Path(__file__).parents[1] / "golden" / "clusters"

EVENT = {"project": "hello", "environment": "dev", "outcome": "failure", "failedStage": "Build"}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("plain", PLAIN), ("everything", EVERYTHING), ("machines", MACHINES)):
        (tmp_path / f"{name}.yaml").write_text(text)
    monkeypatch.setattr("verbs.ci_project.today", lambda: date(2026, 11, 22))
    for name in ("GOPROXY", "GOSUMDB", "GONOSUMDB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(verb: Any, **options: Any) -> tuple[int, str]:
    try:
        verb(Context(), **options)
    except Exit as end:
        return end.code, end.message or ""
    return 0, ""


def document(verb: Any, capsys: pytest.CaptureFixture[str], name: str, **options: Any) -> Any:
    run(verb, json=True, **options)
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, schema(name))
    return found


def test_stages_are_as_described(files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("GOPROXY", "https://proxy.example.net")
    project = "./plain.yaml"
    found = document(
        verbs.stages_, capsys, "ci.stages", project=project, env="prd", push="registry.example.net/apps/",
        build_secret="/run/netrc",
    )  # fmt: skip
    [build] = [words for words in found["image"]["build"] if "buildctl" in words]
    assert "build-arg:GOPROXY=https://proxy.example.net" in build
    assert "id=netrc,src=/run/netrc" in build and found["image"]["buildSecret"] is None
    assert found["release"]["chart"].endswith("addons/charts/app")
    assert found["image"]["repository"] == "registry.example.net/apps/hello"
    assert document(verbs.stages_, capsys, "ci.stages", project="./machines.yaml", env="prd")["vm"]["user"] == "hello"
    code, said = run(verbs.stages_, project=project, env="prd")
    assert code == 1 and "no registry to push to" in said
    code, said = run(verbs.stages_, project=project, env="prod", push="r.example.net")
    assert code == 1 and "has no environment 'prod'" in said
    assert run(verbs.stages_, project=project, env="prd", push="r.example.net") == (0, "")
    said = capsys.readouterr().out
    assert "asks before it is released" in said
    assert "  build: /bin/sh -euc 'CGO_ENABLED=0 go build " in said, "what a shell would take apart is quoted"


def test_sources_of_java_are_a_file_that_the_agent_names(files: Path, capsys: Any, monkeypatch: Any) -> None:
    text = (files / "plain.yaml").read_text()
    (files / "plain.yaml").write_text(text.replace("language: go", "language: java"))

    def given(**more: Any) -> list[str]:
        found = document(
            verbs.stages_, capsys, "ci.stages", project="./plain.yaml", env="prd", push="r.example.net", **more
        )
        [build] = [words for words in found["image"]["build"] if "buildctl" in words]
        return [words for words in build if words.startswith("id=") or "SLIPWAY" in words]

    assert given() == []
    monkeypatch.setenv("SLIPWAY_MAVEN_SETTINGS", "/etc/slipway/sources/settings.xml")
    assert given() == ["id=maven-settings,src=/etc/slipway/sources/settings.xml"]
    assert given(build_secret="/run/own.xml") == ["id=maven-settings,src=/run/own.xml"]


def test_a_release_takes_the_chart_that_was_reviewed_with_the_tree(tmp_path: Path) -> None:
    place = Place(tmp_path, "minimal")
    ours = verbs.settings_of(None).chart
    shutil.copytree(CLUSTERS / "minimal", place.inputs)
    assert verbs.settings_of(place).chart == ours
    package = place.rendered / "charts" / "app-1.0.0.tgz"
    package.parent.mkdir(parents=True)
    package.touch()
    assert verbs.settings_of(place).chart == str(package)


def test_the_gate_ends_with_2_where_it_stops(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "bad.json").write_text(report(vulnerability()))
    (files / "worse.json").write_text(report(vulnerability("CVE-9", "CRITICAL")))
    # The project waives the first until the end of the year.
    assert run(verbs.scan, project="./everything.yaml", report="bad.json")[0] == 0
    assert run(verbs.scan, project="./everything.yaml", report="worse.json")[0] == 2
    assert "stops: CRITICAL CVE-9" in capsys.readouterr().out
    assert run(verbs.scan, project="./plain.yaml", report="bad.json", severity="CRITICAL")[0] == 0
    capsys.readouterr()
    found = document(verbs.scan, capsys, "ci.scan", project="./everything.yaml", report="bad.json")
    assert (found["passes"], found["waived"][0]["until"]) == (True, "2026-12-31")
    (files / "grype.json").write_text(grype.report(grype.match("GHSA-aaaa-bbbb-cccc", others=("CVE-2026-0001",))))
    found = document(verbs.scan, capsys, "ci.scan", project="./everything.yaml", report="grype.json")
    assert (found["passes"], found["waived"][0]["alias"], found["targets"]) == (True, "CVE-2026-0001", None)
    assert run(verbs.scan, project="./plain.yaml", report="grype.json")[0] == 2
    capsys.readouterr()
    for path, says in (("none.json", "cannot be read"), ("plain.yaml", "is no JSON")):
        code, said = run(verbs.scan, project="./plain.yaml", report=path)
        assert code == 1 and says in said


def test_unit_and_sudoers_are_printed(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ci_unit.unit, project="./machines.yaml", env="prd") == (0, "")
    assert "User=hello\n" in capsys.readouterr().out
    run(ci_unit.unit, project="./machines.yaml", env="prd", sudoers=True)
    assert "hello ALL=(root) NOPASSWD: /usr/bin/install" in capsys.readouterr().out
    run(ci_unit.unit, project="./machines.yaml", env="prd", sudoers=True, unit_is_fixed=True)
    assert "install" not in capsys.readouterr().out.split("\n", 1)[1]
    code, said = run(ci_unit.unit, project="./plain.yaml", env="prd")
    assert code == 1 and "runs in containers" in said


def test_a_release_to_machines_is_told_host_by_host(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "known").write_text("")

    async def deployed(*words: Any, told: Any, **more: Any) -> Any:
        outcomes = (
            Outcome("a", "deployed"),
            Outcome("b", "back", "not well", ("last words",)),
            Outcome("c", "untouched"),
        )
        for one in outcomes[:2]:
            told(one.line("r1"))
        return Release("r1", "d" * 64, files), outcomes

    monkeypatch.setattr(ci_machines, "deploy", deployed)
    options = {"project": "./machines.yaml", "env": "prd", "artifact": "x", "known_hosts": "known"}
    found = document(ci_machines.deploy_, capsys, "ci.deploy", **options)
    assert [one["state"] for one in found["hosts"]] == ["deployed", "back", "untouched"]
    assert run(ci_machines.deploy_, **options)[0] == 1
    said = capsys.readouterr().err
    assert said.splitlines() == [
        "a: release r1 runs and is well",
        "b: release r1 did not get well (not well); the one before runs again",
        "b:   last words",
        "c: not touched, what ran there runs",
    ]
    # Every state has its words.
    assert all(Outcome("a", state, "why").line("r1") for state in releases.STATES)
    # The end of a waiver stops a scan; what was let through is released, at night too.
    waiver = '{id: CVE-2026-0001, until: "2026-01-01", reason: none}'
    (files / "ended.yaml").write_text(f"{MACHINES}waivers: [{waiver}]\n")
    assert run(ci_machines.deploy_, **{**options, "project": "./ended.yaml"}) == (1, "")
    assert "--within 0" in run(ci_machines.deploy_, **options, within=0)[1]
    code, text = run(ci_machines.deploy_, project="./machines.yaml", env="prd", artifact="x")
    assert code == 1 and "no --known-hosts" in text


def test_a_notification_that_fails_is_said_and_fails_nothing(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "event.json").write_text(json.dumps(EVENT))
    (files / "url").write_text("ftp://s3cret\n")
    webhooks = ["hello-dingtalk=url", "hello-dingtalk-key=url"]
    options = {"project": "./everything.yaml", "event": "event.json", "webhook": webhooks}
    assert run(verbs.notify, **options) == (0, "")
    said = capsys.readouterr()
    assert "0 of 2 notifications sent" in said.out
    assert "dingtalk to hello-dingtalk was not sent: what its credential holds is no http(s) URL" in said.err
    assert "mail to team@example.net was not sent: no mail server" in said.err
    assert "s3cret" not in said.out + said.err
    run(verbs.notify, **{**options, "webhook": ["hello-dingtalk=url"]})
    assert "its signing secret is not known; give --webhook hello-dingtalk-key=FILE" in capsys.readouterr().err
    found = document(verbs.notify, capsys, "ci.notify", **options)
    assert [one["sent"] for one in found["told"]] == [False, False]


def test_a_url_comes_from_standard_input_but_never_from_the_command_line(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"https://x.example.net/s3cret\n")))
    assert verbs.secrets_of(["a=-"], "event.json") == {"a": "https://x.example.net/s3cret"}
    (files / "empty").write_text("\n")
    for words, event, says in (
        (["a=https://x/s3cret"], "e", "is not shown"), (["a"], "e", "is not shown"), (["a=-"], "-", "read once"),
        (["a=empty"], "e", "the file is empty"), (["a=none"], "e", "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(Exception, match=says) as error:
            verbs.secrets_of(words, event)
        assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x", "no JSON document"), ("[]", "no JSON object"), ("{}", "has no project, environment, outcome"),
        (json.dumps({**EVENT, "outcome": "great"}), "outcome is 'great'"),
        (json.dumps({**EVENT, "durationSeconds": "3"}), "write whole seconds"),
        (json.dumps({**EVENT, "commit": 1}), "write text"), (json.dumps({**EVENT, "more": 1}), "has more"),
    ],
)  # fmt: skip
def test_an_event_that_is_none_is_an_error(files: Path, text: str, says: str) -> None:
    (files / "event.json").write_text(text)
    code, said = run(verbs.notify, project="./plain.yaml", event="event.json")
    assert code == 1 and says in said
