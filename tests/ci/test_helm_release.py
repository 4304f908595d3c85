"""Releases by the real helm, against an API that knows Secrets: the pipeline's own command, and the way back.

SLIPWAY_HELM names another helm to try, such as one of version 3.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from fleet import helm_release
from fleet.helm_release import LONGEST, Helm, recovered
from generator.ci.settings import Settings
from generator.ci.stages import MINUTES, stages
from generator.errors import ApiError, RefusedError, WorkspaceError
from tests.ci.helm import program, surroundings
from tests.ci.samples import EVERYTHING, MACHINES, PLAIN, sample
from tests.fleet.secrets_api import SecretsApi, secrets_api
from verbs.ci_recover import recover

pytestmark = pytest.mark.tools
NAMESPACE = "apps-dev"
LATER = datetime.now(UTC) + LONGEST + timedelta(minutes=10)


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretsApi]:
    """An API, and helm on the PATH which knows it as the only one."""
    found = program()
    if found is None:
        pytest.skip("helm is not installed, and the one of `make setup` is for Linux on x86-64")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "helm").symlink_to(found)
    for name, value in surroundings().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with secrets_api() as one:
        here = {
            "apiVersion": "v1", "kind": "Config", "current-context": "one", "users": [],
            "clusters": [{"name": "one", "cluster": {"server": one.url}}],
            "contexts": [{"name": "one", "context": {"cluster": "one"}}],
        }  # fmt: skip
        (tmp_path / "kubeconfig").write_text(json.dumps(here))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        yield one


def command(folder: Path, text: str = PLAIN) -> list[str]:
    """The command of the pipeline for a chart that holds nothing."""
    chart = folder / "source/deploy/chart"
    chart.mkdir(parents=True, exist_ok=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: empty\nversion: 1.0.0\n")
    (folder / "source/deploy/values.yaml").write_text("{}\n")
    (folder / "values-dev.yaml").write_text("{}\n")
    settings = Settings(
        "registry.example.net", chart=str(chart), helm=helm_release.major(), namespaces={"dev": NAMESPACE}
    )
    words = stages(sample(text, namespace=None), "dev", settings)["release"]["commands"][-1]
    return [word.replace("@OUT@", str(folder)).replace("@WORK@", str(folder / "source")) for word in words]


def released(folder: Path, text: str = PLAIN) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder, text), capture_output=True, text=True, timeout=60)


def killed(api: SecretsApi, folder: Path) -> None:
    """Begin a release and kill helm in the middle of it."""
    api.waiting.clear()
    api.held.set()
    with subprocess.Popen(command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as helm:
        assert api.waiting.wait(30)
        helm.kill()
    api.held.clear()


def states(api: SecretsApi) -> dict[str, str]:
    return {name.rpartition(".")[2]: one["metadata"]["labels"]["status"] for name, one in sorted(api.secrets.items())}


@pytest.mark.parametrize("text", [PLAIN, EVERYTHING])
def test_helm_takes_the_command_of_the_pipeline(api: SecretsApi, tmp_path: Path, text: str) -> None:
    for revision in (1, 2):
        done = released(tmp_path, text)
        assert (done.returncode, f"REVISION: {revision}" in done.stdout) == (0, True), done.stderr
        # No flag of it is one that helm wants otherwise.
        assert "deprecated" not in done.stdout + done.stderr
    assert states(api) == {"v1": "superseded", "v2": "deployed"}


def test_a_release_that_was_killed_goes_back_and_then_on(api: SecretsApi, tmp_path: Path) -> None:
    assert released(tmp_path).returncode == 0
    killed(api, tmp_path)
    assert states(api) == {"v1": "deployed", "v2": "pending-upgrade"}
    # What this is for: helm itself never comes out of it.
    refused = released(tmp_path)
    assert refused.returncode == 1 and "another operation" in refused.stderr
    helm = Helm(NAMESPACE)
    with pytest.raises(RefusedError, match=r"pending-upgrade since 0 minutes.*--at-once` \(go back to revision 1\)"):
        recovered(helm, "hello", at_once=False, dry_run=False)
    way = recovered(helm, "hello", at_once=False, dry_run=True, now=LATER)
    assert way is not None and (way.state, way.revision) == ("pending-upgrade", 1)
    assert states(api)["v2"] == "pending-upgrade"
    assert recovered(helm, "hello", at_once=False, dry_run=False, now=LATER) == way
    assert states(api)["v3"] == "deployed"
    assert released(tmp_path).returncode == 0
    assert recovered(helm, "hello", at_once=True, dry_run=False) is None


def test_a_first_release_that_was_killed_is_taken_away(api: SecretsApi, tmp_path: Path) -> None:
    killed(api, tmp_path)
    assert states(api) == {"v1": "pending-install"}
    way = recovered(Helm(NAMESPACE), "hello", at_once=True, dry_run=False)
    assert way is not None and way.words == "take away what was never complete"
    assert states(api) == {}
    assert released(tmp_path).returncode == 0


def test_a_release_that_is_not_there_needs_nothing(api: SecretsApi) -> None:
    assert recovered(Helm(NAMESPACE), "hello", at_once=True, dry_run=False) is None
    assert not any(one.startswith(("POST", "PUT", "DELETE")) for one in api.asked)


def test_what_helm_cannot_say_is_an_error(api: SecretsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorkspaceError, match=r"no-helm cannot be run \(No such file or directory\)"):
        Helm(NAMESPACE, ("no-helm",)).way_back("hello")
    with pytest.raises(ApiError, match="without JSON"):
        Helm(NAMESPACE, ("echo",)).way_back("hello")
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    with pytest.raises(ApiError, match=r"(?i)kubernetes cluster unreachable"):
        Helm(NAMESPACE).way_back("hello")


def test_the_verb_says_what_it_does(
    api: SecretsApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plain.yaml").write_text(PLAIN)
    (tmp_path / "machines.yaml").write_text(MACHINES)

    def run(project: str = "plain", env: str = "dev", **options: Any) -> tuple[int, str]:
        try:
            recover(Context(), project=str(tmp_path / f"{project}.yaml"), env=env, **options)
        except Exit as end:
            return end.code, end.message or capsys.readouterr().out
        return 0, capsys.readouterr().out

    assert run() == (0, "release hello in apps-dev: nothing was left half-way\n")
    assert released(tmp_path).returncode == 0
    killed(api, tmp_path)
    code, said = run()
    assert code == 1 and "may still be at work; wait for it" in said
    code, said = run(at_once=True, dry_run=True)
    assert code == 2 and "UTC; would go back to revision 1" in said
    code, said = run(at_once=True)
    assert code == 0 and "UTC; went back to revision 1" in said
    assert run()[0] == 0
    code, said = run("machines", "prd")
    assert code == 1 and "runs on virtual machines" in said


def test_the_version_of_helm_is_asked_for(api: SecretsApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = subprocess.run(["helm", "version", "--short"], capture_output=True, text=True, check=True).stdout
    assert f"v{helm_release.major()}." in said
    fake = tmp_path / "fake"
    fake.mkdir()
    for text, version in (("v3.17.3", 3), ("v12.0.0+g1", 12), ("what", helm_release.NEWEST)):
        (fake / "helm").write_text(f"#!/bin/sh\necho {text}\n")
        (fake / "helm").chmod(0o755)
        monkeypatch.setenv("PATH", f"{fake}:{os.environ['PATH']}")
        assert helm_release.major() == version
    monkeypatch.setenv("PATH", "/nowhere")
    assert helm_release.major() == helm_release.NEWEST


@pytest.mark.parametrize(
    ("helm", "flag"), [(3, "--atomic"), (4, "--rollback-on-failure"), (5, "--rollback-on-failure")]
)
def test_each_helm_is_told_in_its_own_words(helm: int, flag: str) -> None:
    words = stages(sample(), "dev", Settings("registry.example.net", helm=helm))["release"]["commands"][-1]
    assert [one for one in words if one in {"--atomic", "--rollback-on-failure"}] == [flag]


def test_a_release_and_both_ways_back_fit_into_the_stage() -> None:
    words = stages(sample(), "dev", Settings("registry.example.net"))["release"]["commands"][-1]
    rollback = helm_release.WayBack("", LATER, 1).command("x")
    wait, back = (int(one[one.index("--timeout") + 1].removesuffix("m")) for one in (words, rollback))
    assert 2 * wait <= LONGEST / timedelta(minutes=1)
    assert back + 2 * wait < MINUTES["deploy"] and back < MINUTES["recover"]
