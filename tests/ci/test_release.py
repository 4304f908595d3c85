"""The commands of a release as the pipeline gets them, run for real up to the cluster: values, overlay, own chart."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.ci.project import load_project
from generator.ci.settings import settings_from
from generator.ci.stages import stages
from tests.ci.helm import helm, members
from tests.ci.samples import PLAIN
from tests.golden.chart_cases import APP
from tests.golden.pipeline_cases import SECTION

ROOT = Path(__file__).parents[2]
IMAGE = "registry.example.net/apps/hello:0123456789ab-7@sha256:" + "a" * 64


@dataclass(frozen=True)
class Run:
    """A run of the pipeline: the project file, its source, and what it makes."""

    folder: Path

    def __post_init__(self) -> None:
        for name in ("source", "out", "elsewhere"):
            (self.folder / name).mkdir()

    def source(self, path: str, text: str) -> None:
        """Put a file into the project's repository."""
        file = self.folder / "source" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def released(self, text: str, environment: str = "prd") -> subprocess.CompletedProcess[str]:
        """Run the commands of a release; helm says what it would install."""
        file = self.folder / "hello.yaml"
        file.write_text(text)
        settings = replace(settings_from(SECTION), chart=str(APP))
        document = stages(load_project(text), environment, settings, str(file))
        commands = [self._words(words) for words in document["release"]["commands"]]
        (made,) = (words for words in commands if words[:2] == ["slipway", "ci.values"])
        (upgrade,) = (words for words in commands if words[:3] == ["helm", "upgrade", "--install"])
        assert commands.index(made) < commands.index(upgrade)
        program = [sys.executable, "-c", "from verbs.program import run; run()", *made[1:]]
        # From another folder: all that a command needs stands in it.
        subprocess.run(
            program, cwd=self.folder / "elsewhere", env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True,
            capture_output=True, timeout=120,
        )  # fmt: skip
        return helm("template", *what_is_installed(upgrade[3:]))

    def _words(self, words: list[str]) -> list[str]:
        known = {"@WORK@": str(self.folder / "source"), "@OUT@": str(self.folder / "out"), "@IMAGE@": IMAGE}
        for name, value in known.items():
            words = [word.replace(name, value) for word in words]
        assert not any("@WORK" in word or "@OUT" in word for word in words)
        return words


def what_is_installed(words: list[str]) -> list[str]:
    """Return the words of an upgrade that say what is installed: release, chart, namespace and values, in order."""
    name, chart, *options = words
    pairs = itertools.pairwise(options)
    return [name, chart, *(word for pair in pairs if pair[0] in {"--namespace", "--values"} for word in pair)]


def objects(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """Return what helm would install, by kind."""
    assert done.returncode == 0, done.stderr
    return {member["kind"]: member for member in members(done.stdout)}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_a_release_has_what_the_project_file_says(run: Run) -> None:
    found = objects(run.released(PLAIN + "scaling: {replicas: 3}\n"))
    deployment = found["Deployment"]
    assert (deployment["metadata"]["name"], deployment["spec"]["replicas"]) == ("hello", 3)
    pod = deployment["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == IMAGE
    assert pod["imagePullSecrets"] == [{"name": "registry-pull"}]
    assert found["Ingress"]["spec"]["rules"][0]["host"] == "hello.example.net"


def test_an_overlay_of_the_project_goes_over_the_values(run: Run) -> None:
    overlay = {
        "replicas": 7, "config": {"app.conf": "a = 1\n"}, "nodeSelector": {"disk": "ssd"},
        "ingress": {"annotations": {"example.net/size": "8m"}}, "networkPolicy": {"enabled": False},
    }  # fmt: skip
    run.source("deploy/values.yaml", yaml.safe_dump(overlay))
    found = objects(run.released(PLAIN + "chart: {values: deploy/values.yaml}\n"))
    deployment = found["Deployment"]["spec"]
    assert (deployment["replicas"], deployment["template"]["spec"]["nodeSelector"]) == (7, {"disk": "ssd"})
    assert found["ConfigMap"]["data"] == {"app.conf": "a = 1\n"}
    # What the overlay does not name is as the project file says.
    assert found["Ingress"]["spec"]["rules"][0]["host"] == "hello.example.net"
    assert found["Ingress"]["metadata"]["annotations"] == {"example.net/size": "8m"}
    assert "NetworkPolicy" not in found


def test_an_overlay_with_a_key_that_nobody_knows_is_refused(run: Run) -> None:
    run.source("values.yaml", "replica: 7\n")
    done = run.released(PLAIN + "chart: {values: values.yaml}\n")
    assert done.returncode != 0 and "additional properties 'replica' not allowed" in done.stderr


def test_a_chart_of_the_project_gets_the_same_values_and_the_overlay(run: Run) -> None:
    run.source("deploy/chart/Chart.yaml", "apiVersion: v2\nname: own\nversion: 0.1.0\n")
    run.source("deploy/chart/values.yaml", "greeting: none\n")
    run.source("deploy/chart/templates/own.yaml", (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}\n"
        "data: {image: '{{ .Values.image.repository }}@{{ .Values.image.digest }}', "
        "host: '{{ .Values.ingress.host }}', greeting: '{{ .Values.greeting }}'}\n"
    ))  # fmt: skip
    run.source("values.yaml", "greeting: hello\n")
    found = objects(run.released(PLAIN + "chart: {path: deploy/chart, values: values.yaml}\nnamespace: shop\n"))
    assert found == {
        "ConfigMap": {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hello", "namespace": "shop-prd"},
            "data": {
                "image": IMAGE.replace(":0123456789ab-7", ""), "host": "hello.example.net", "greeting": "hello",
            },
        }
    }  # fmt: skip


def test_our_chart_copied_into_a_project_is_one_of_its_own(run: Run) -> None:
    shutil.copytree(APP, run.folder / "source" / "chart")
    template = run.folder / "source" / "chart" / "templates" / "service.yaml"
    template.write_text(template.read_text().replace("ClusterIP", "NodePort"))
    found = objects(run.released(PLAIN + "chart: {path: chart}\n"))
    assert found["Service"]["spec"]["type"] == "NodePort"
    assert found["Deployment"]["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE


def test_a_chart_that_is_not_there_is_named(run: Run) -> None:
    done = run.released(PLAIN + "chart: {path: nowhere}\n")
    assert done.returncode != 0 and str(run.folder / "source" / "nowhere") in done.stderr
