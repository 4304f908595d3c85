"""A build on the agent of a language has what it needs, as that of the image has; a real shell runs it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from generator.ci.build_steps import steps_in_image, steps_on_agent
from generator.ci.dockerfile import image_files
from generator.ci.project import Project
from generator.ci.settings import settings_from
from generator.ci.stages import stages
from tests.ci.samples import MACHINES, sample
from tests.golden.pipeline_cases import SECTION

TOOL = """#!/bin/sh
# Notes how it was called, and makes a virtual environment whose programs do the same.
echo "$(basename "$0") $*" >> "$NOTES"
case "$*" in "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/pip" && cp "$0" "$3/bin/make" ;; esac
"""


def built(project: Project, folder: Path, *files: str) -> list[str]:
    """Run the build of a project as the pipeline does, with tools that note how they were called; returns the notes."""
    tools, source, notes = folder / "tools", folder / "source", folder / "notes"
    for path in (tools, source):
        path.mkdir()
    for name in ("npm", "yarn", "composer", "python", "make", "php"):
        (tools / name).write_text(TOOL)
        (tools / name).chmod(0o755)
    for name in files:
        (source / name).write_text("")
    environment = {"PATH": f"{tools}:{os.defpath}:/bin:/usr/bin", "NOTES": str(notes)}
    document = stages(project, project.environment_names[0], settings_from(SECTION))
    for words in document["build"]["commands"]:
        subprocess.run(words, cwd=source, env=environment, check=True, timeout=60)
    return notes.read_text().splitlines() if notes.exists() else []


def built_by(language: str, folder: Path, *files: str) -> list[str]:
    return built(sample(language=language, build={"command": "make all"}, run={"command": ["x"]}), folder, *files)


def test_packages_come_before_the_command_that_needs_them(tmp_path: Path) -> None:
    for number, (language, files, notes) in enumerate((
        ("nodejs", ["package-lock.json"], ["npm ci --no-audit --no-fund", "make all"]),
        ("nodejs", ["yarn.lock"], ["yarn install --frozen-lockfile", "make all"]),
        ("php", [], ["make all"]),
        ("php", ["composer.json"], [
            "composer install --no-dev --prefer-dist --no-progress --optimize-autoloader", "make all",
        ]),
        ("python", ["requirements.txt"], [
            "python -m venv .venv", "pip install --requirement requirements.txt", "make all",
        ]),
        ("python", ["pyproject.toml"], ["python -m venv .venv", "pip install .", "make all"]),
    )):  # fmt: skip
        folder = tmp_path / str(number)
        folder.mkdir()
        assert built_by(language, folder, *files) == notes


def test_programs_that_pip_brought_are_found_by_the_command(tmp_path: Path) -> None:
    # make of the virtual environment, not that of the agent.
    project = sample(language="python", build={"command": "command -v make > found"}, run={"command": ["x"]})
    built(project, tmp_path, "requirements.txt")
    assert (tmp_path / "source" / "found").read_text() == f"{tmp_path}/source/.venv/bin/make\n"


def test_a_command_that_fails_ends_the_build(tmp_path: Path) -> None:
    project = sample(language="nodejs", build={"command": "false; true"}, run={"command": ["x"]})
    with pytest.raises(subprocess.CalledProcessError):
        built(project, tmp_path, "package-lock.json")


def test_nothing_is_built_on_an_agent_that_the_image_builds_alone(tmp_path: Path) -> None:
    assert steps_on_agent(sample(language="python", run={"command": ["x"]})).all == ()
    assert steps_on_agent(sample(docker={"file": "Dockerfile"})).all == ()


def test_on_machines_the_command_is_all() -> None:
    project = sample(MACHINES, language="nodejs", build={"command": "npm ci --omit=dev"})
    assert steps_on_agent(project).all == ("npm ci --omit=dev",)


@pytest.mark.parametrize("language", ["go", "java", "php", "nodejs", "python"])
def test_the_image_is_built_by_the_same_steps(language: str) -> None:
    project = sample(language=language, build={"command": "make", "artifact": "x"}, run={"command": ["x"]})
    text = image_files(project).dockerfile
    steps = steps_in_image(project)
    assert steps.own == ("make",)
    places = [text.index(step.replace('"', '\\"').replace("<", "\\u003c")) for step in steps.all]
    assert places == sorted(places)
