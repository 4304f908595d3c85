"""A run reads the modules of the verbs that it names, and no verb is lost by that."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from invoke.tasks import Task

from verbs.offering import GROUPS, VERBS, collection, named_in

ROOT = Path(__file__).resolve().parents[2]
INVOKE = Path(sys.executable).parent / "invoke"


@pytest.mark.parametrize(
    ("line", "modules"),
    [
        ("invoke render", {"rendering"}),
        ("/srv/.venv/bin/inv --search-root /srv render --check", {"rendering"}),
        ("invoke render plan", {"rendering", "running"}),
        ("slipway new --name first", {"new"}),
        ("invoke hosts.scan --limit cp1", {"hosts"}),
        ("invoke --help certs.renew", {"certs"}),
        ("invoke ci.logs --project hello --env dev", {"ci_pods"}),
        ("slipway ci.values ci.stages", {"ci", "ci_pipeline"}),
        ("invoke ci.log", None),
        ("invoke render --cluster verify", {"rendering", "verify"}),
        ("invoke", None),
        ("invoke --list", None),
        ("invoke -l render", None),
        ("invoke --complete -- invoke render", None),
        ("invoke rendr", None),
        ("invoke hosts", None),
        ("pytest -k render", None),
    ],
)
def test_a_command_line_names_modules(line: str, modules: set[str] | None) -> None:
    assert named_in(line.split()) == modules


def test_every_verb_of_every_module_is_offered_with_its_module_alone() -> None:
    everything = set(collection().task_names)
    assert set().union(*(collection([name]).task_names for name in (*VERBS, *GROUPS))) == everything
    files = (path.stem for path in (ROOT / "verbs").glob("*.py"))
    tasks = {
        id(one) for name in files for one in vars(import_module(f"verbs.{name}")).values() if isinstance(one, Task)
    }
    assert len(tasks) == len(everything)


@pytest.mark.parametrize(
    "verb",
    ["render", "ci.new", "ci.validate", "ci.dockerfile", "ci.values", "ci.jobs", "ci.stages", "ci.scan", "ci.notify",
     "ci.unit", "ci.trigger", "ci.logs", "ci.shell"],
)  # fmt: skip
def test_what_needs_neither_ssh_nor_templates_reads_neither(verb: str) -> None:
    lines = subprocess.run(
        [sys.executable, "-X", "importtime", INVOKE, "--help", verb], cwd=ROOT, capture_output=True, text=True,
        check=True,
    ).stderr  # fmt: skip
    read = {line.rpartition("|")[2].strip() for line in lines.splitlines()}
    assert "generator.spec" in read
    assert not read & {"asyncssh", "cookiecutter", "fleet.ssh", "requests"}
