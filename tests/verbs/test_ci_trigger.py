"""ci.trigger against a Jenkins on loopback that checks who asks; neither user's token nor crumb is ever shown."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

from fleet import jenkins as client
from generator.errors import RefusedError
from generator.sealing import create_identity, parse_recipient, seal, sealed_path
from tests.ci.jenkins_stand_in import CRUMB, TOKEN, USER, jenkins
from tests.ci.samples import MACHINES, PLAIN
from tests.fleet.api_stand_in import Pki
from tests.fleet.test_json_documents import schema
from tests.verbs.test_ci import projects, workspace
from tests.verbs.test_ci_pipeline import run
from verbs import ci_trigger
from verbs.workspace import Place

__all__ = ["workspace"]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "hello.yaml").write_text(PLAIN)
    (tmp_path / "machines.yaml").write_text(MACHINES)
    (tmp_path / "token").write_text(f"{USER}:{TOKEN}\n")
    monkeypatch.chdir(tmp_path)
    for name in ("begun", "ended"):
        real = getattr(client.Jenkins, name)
        monkeypatch.setattr(client.Jenkins, name, lambda *words, real=real: real(*words, pause=0.01))
    return tmp_path


@pytest.fixture(autouse=True)
def nothing_secret(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    output(capsys)


def output(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """What was printed since it was last asked; the token and the crumb are never in it."""
    out, err = capsys.readouterr()
    assert TOKEN not in out + err and CRUMB not in out + err
    return out, err


def trigger(url: str, **options: Any) -> tuple[int, str]:
    code, said = run(
        ci_trigger.trigger, **{"project": "./hello.yaml", "env": "dev", "url": url, "token_file": "token"} | options
    )
    assert TOKEN not in said and CRUMB not in said
    return code, said


def test_a_job_is_started_with_its_parameters_and_a_proved_session(files: Path, capsys: Any) -> None:
    with jenkins() as here:
        assert trigger(here.url + "/", branch="release/1") == (0, "")
    assert here.started == [{"ENVIRONMENT": "dev", "BRANCH": "release/1"}]
    out, err = output(capsys)
    assert out == "hello: build 7 has begun\n"
    assert "in the queue as item 3" in err


def test_it_is_followed_to_its_result(files: Path, capsys: Any) -> None:
    with jenkins(queue=[{"why": "waits"}, {"why": "waits"}], building=2) as here:
        assert trigger(here.url, wait=True, json=True) == (0, "")
    found = json.loads(output(capsys)[0])
    jsonschema.validate(found, schema("ci.trigger"))
    assert (found["number"], found["result"], found["seconds"]) == (7, "SUCCESS", 61.5)
    assert sum("/queue/item/3/" in one for one in here.asked) == 3
    with jenkins(result="FAILURE") as here:
        assert trigger(here.url, wait=True) == (2, "")
    assert output(capsys)[0] == "hello: build 7 ended with FAILURE after 62 s\n"


def test_one_that_waits_in_the_queue_says_for_what(files: Path, capsys: Any) -> None:
    with jenkins(queue=[{"why": "Waiting for next available executor on of go"}] * 500) as here:
        assert trigger(here.url, timeout=1, json=True) == (0, "")
        found = json.loads(output(capsys)[0])
        jsonschema.validate(found, schema("ci.trigger"))
        assert found["number"] is None and "next available executor" in found["why"]
        code, said = trigger(here.url, timeout=1, wait=True)
        output(capsys)
    assert code == 1 and "queue item 3: Waiting for next available executor" in said and "--timeout" in said


def test_one_that_does_not_end_in_time_is_named_and_left_running(files: Path, capsys: Any) -> None:
    with jenkins(building=10**6) as here:
        code, said = trigger(here.url, wait=True, timeout=1, json=True)
    assert code == 1 and "build 7 of job hello runs still, https://jenkins.example.net/job/hello/7/" in said
    assert not any("stop" in one for one in here.asked)
    # Whoever started it by a program has to know which one it was.
    found = json.loads(output(capsys)[0])
    jsonschema.validate(found, schema("ci.trigger"))
    assert (found["queue"], found["number"], found["result"]) == (3, 7, None) and found["why"] == said[len("error: ") :]


def test_who_stops_waiting_is_told_that_it_goes_on(files: Path, monkeypatch: Any) -> None:
    def interrupted(*words: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    with jenkins() as here:
        monkeypatch.setattr(client.Jenkins, "ended", interrupted)
        code, said = trigger(here.url, wait=True)
        assert code == 130 and "build 7 of hello goes on in Jenkins, the same command starts another" in said
        monkeypatch.setattr(client.Jenkins, "begun", interrupted)
        assert "queue item 3 of hello goes on" in trigger(here.url)[1]


def test_a_start_whose_answer_is_lost_is_not_taken_for_none(files: Path) -> None:
    with jenkins(refuses=-1) as here:
        code, said = trigger(here.url)
    assert code == 1 and "it may have been started, so look at its builds before you start another" in said
    assert len(here.started) == 1


def test_nothing_is_started_that_would_not_do_as_told(files: Path) -> None:
    """Jenkins passes over a parameter that the job does not define: the wrong branch, or every environment."""
    ways: list[tuple[dict[str, Any], str]] = [
        ({"parameters": {"ENVIRONMENT": ["dev"]}}, "it has no parameter BRANCH, and Jenkins would start it without"),
        ({"parameters": {"BRANCH": None}}, "it has no parameter ENVIRONMENT"),
        ({"parameters": {}}, "it has no parameter ENVIRONMENT"),
        ({"parameters": {"ENVIRONMENT": ["", "qa", "prd"]}}, "ENVIRONMENT has no choice dev (there are: qa, prd)"),
        ({"job": {"buildable": False}}, "job hello: it is switched off; enable it there"),
        ({"job": {}}, "it is no job that can be started, a folder perhaps"),
    ]
    for how, says in ways:
        with jenkins(**how) as here:
            code, said = trigger(here.url, branch="release/1")
        assert code == 1 and says in said, said
        assert here.started == [] and not any(one.startswith("POST") for one in here.asked)
    with jenkins(parameters={"ENVIRONMENT": None}) as here:
        assert trigger(here.url) == (0, ""), "without --branch none is needed"


def test_prd_wants_a_yes(files: Path) -> None:
    with jenkins() as here:
        code, said = trigger(here.url, env="prd")
        assert code == 1 and "add --yes" in said and here.asked == []
        assert trigger(here.url, env="prd", yes=True) == (0, "")
        assert trigger(here.url, project="./machines.yaml", env="prd", yes=True, job="hello") == (0, "")
    assert [one["ENVIRONMENT"] for one in here.started] == ["prd", "prd"]


@pytest.mark.parametrize(
    ("how", "options", "says"),
    [
        ({"jobs": ()}, {}, "job hello: it is not there, or this user may not see it (404)"),
        ({"refuses": 403}, {}, "job hello: this user may not do that (403); give him Overall/Read"),
        ({"refuses": 400}, {}, "it does not take these parameters (400)"),
        ({"refuses": 409}, {}, "job hello: it is switched off (409)"),
        ({"refuses": 500}, {}, "job hello: it answers 500; see the log of Jenkins"),
        ({"refuses": 302}, {}, "job hello: Jenkins takes no more of it into the queue"),
        ({"crumb": "a\r\nX: b"}, {}, "the crumb is not understood"),
        ({"queue": [{}]}, {}, "queue item 3: it has left the queue, or this user may not see it"),
        ({"statuses": [503]}, {}, "Jenkins is starting or overloaded (503)"),
        ({"location": "/job/hello/"}, {}, "the answer names no item of the queue"),
        ({"queue": [{"cancelled": True}]}, {}, "queue item 3: somebody took it out of the queue"),
        ({}, {"env": "qa"}, "has no environment 'qa'"),
        ({}, {"token_file": "bad"}, "--token-file bad: it does not hold USER:TOKEN"),
        ({}, {"token_file": "none"}, "--token-file none: cannot be read"),
        ({}, {"token_file": "wrong"}, "it does not take user and token (401)"),
        ({}, {"token_file": None}, "no user of Jenkins to start jobs with; seal USER:TOKEN"),
        ({}, {"ca": "bad"}, "--ca bad: it holds no certificate"),
        ({}, {"timeout": -1}, "--timeout -1"),
    ],
)
def test_what_stands_in_the_way_is_said(files: Path, how: Any, options: Any, says: str) -> None:
    (files / "bad").write_text(TOKEN)
    (files / "wrong").write_text(f"{USER}:other")
    with jenkins(**how) as here:
        code, said = trigger(here.url, **options)
    assert code == 1 and says in said, said
    assert here.started == [] or "queue" in said


def test_the_token_goes_to_no_other_address(files: Path) -> None:
    with jenkins() as other, jenkins() as here:
        here.redirect = other.url + "/"
        code, said = trigger(here.url)
        assert code == 1 and "it leads elsewhere (302), where no token is sent" in said
        assert other.asked == []
    for url in ("jenkins.example.net", "ftp://x", f"https://{USER}:{TOKEN}@jenkins.example.net"):
        code, said = trigger(url)
        assert code == 1 and "the URL of Jenkins is no http(s) URL" in said


def test_over_https_only_to_who_can_prove_his_name(files: Path) -> None:
    pki = Pki()
    (files / "ca.pem").write_bytes(pki.pem)
    with jenkins(tls=pki.server_context(files)) as here:
        assert trigger(here.url, ca="ca.pem") == (0, "")
        assert len(here.started) == 1
        here.asked.clear()
        code, said = trigger(here.url)
        assert code == 1 and "Jenkins cannot be reached (its certificate: " in said
        assert here.asked == [], "nobody unknown is told the token"


def test_without_crumbs_none_is_sent_and_a_short_outage_is_sat_out(files: Path) -> None:
    with jenkins(crumbs=False, statuses=[0, 0, 503, 502]) as here:
        assert trigger(here.url, wait=True) == (0, "")
    assert len(here.started) == 1


def test_jenkins_that_is_down_is_said(files: Path) -> None:
    with jenkins() as here:
        url = here.url
    code, said = trigger(url)
    assert code == 1 and "Jenkins cannot be reached (connection refused)" in said


def test_the_users_token_comes_from_the_sealed_secret(workspace: Path, monkeypatch: Any, capsys: Any) -> None:
    (projects(workspace) / "hello.yaml").write_text(PLAIN)
    folder = workspace / "clusters" / "minimal"
    recipient = parse_recipient(create_identity(workspace / "identity"))
    monkeypatch.setenv("SLIPWAY_IDENTITY", str(workspace / "identity"))
    path = sealed_path(folder, ci_trigger.TRIGGER_SECRET)
    path.parent.mkdir(parents=True)
    path.write_text(seal(f"{USER}:{TOKEN}".encode(), [recipient]))
    with jenkins() as here:
        assert trigger(here.url, project="hello", token_file=None) == (0, "")
    assert here.started and TOKEN not in os.environ.values()


def test_where_jenkins_is_comes_from_the_cluster(workspace: Path, monkeypatch: Any) -> None:
    (projects(workspace) / "hello.yaml").write_text(PLAIN)
    code, said = run(ci_trigger.trigger, project="hello", env="dev")
    assert code == 1 and "minimal: addons.jenkins is off; turn it on in cluster.yaml, or give --url" in said
    place = Place(workspace, "minimal")
    says = [("is off", False, "https://jenkins.example.net"), ("addons.jenkins.url is not said", True, None)]
    for words, enabled, url in says:
        spec = SimpleNamespace(addons=SimpleNamespace(jenkins=SimpleNamespace(enabled=enabled, url=url)))
        monkeypatch.setattr(ci_trigger, "load", lambda *_, spec=spec: spec)
        with pytest.raises(RefusedError, match=words):
            ci_trigger.jenkins_url(place)
    spec = SimpleNamespace(addons=SimpleNamespace(jenkins=SimpleNamespace(enabled=True, url="https://j.example.net")))
    monkeypatch.setattr(ci_trigger, "load", lambda *_: spec)
    assert ci_trigger.jenkins_url(place) == "https://j.example.net"


def test_an_unencrypted_way_is_warned_of() -> None:
    login = client.Login(USER, TOKEN)
    assert TOKEN not in repr(login)
    assert client.Jenkins("http://jenkins.example.net:8080", login).plain
    assert not client.Jenkins("https://jenkins.example.net", login).plain
