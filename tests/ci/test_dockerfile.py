"""Dockerfiles: pinned bases, no root, no secret and no source of packages in them, and words that stay words."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.ci.dockerfile import base_images, image_files
from generator.ci.languages import LANGUAGES
from generator.ci.project import load_project
from generator.ci.scalars import image_parts
from generator.ci.schema import ENVIRONMENTS
from generator.errors import RefusedError
from tests.ci.samples import EVERYTHING, MACHINES, PLAIN, sample
from tests.golden.ci_cases import CONTAINER_CASES, PROJECT_CASES, ProjectCase

ROOT = Path(__file__).parents[2]
GENERATED = [case for case in CONTAINER_CASES if case.name != "own-dockerfile"]
TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs",), exclude_characters="\x7f"), max_size=30)


def lines_of(case: ProjectCase) -> list[str]:
    return image_files(case.project()).dockerfile.splitlines()


def exec_form(line: str) -> list[str]:
    """Return the words of an instruction in the exec form."""
    words: list[str] = json.loads(line[line.index("[") :])
    return words


def entrypoint(dockerfile: str) -> list[str]:
    (line,) = (line for line in dockerfile.splitlines() if line.startswith("ENTRYPOINT "))
    return exec_form(line)


@pytest.mark.parametrize("case", GENERATED, ids=lambda case: case.name)
def test_every_image_has_two_stages_of_fixed_bases_and_ends_as_nobody(case: ProjectCase) -> None:
    lines = lines_of(case)
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert len(bases) == 2
    assert all(base == "scratch" or image_parts(base) for base in bases), bases
    user = f"{case.project().spec.run.user}:{case.project().spec.run.user}"
    assert [line for line in lines if line.startswith("USER ")] == [f"USER {user}"] and user != "0:0"
    assert f"EXPOSE {case.project().spec.run.port}" in lines
    # What comes after USER changes nothing in the image.
    after = lines[lines.index(f"USER {user}") + 1 :]
    assert {line.split()[0] for line in after} <= {"EXPOSE", "VOLUME", "HEALTHCHECK", "ENTRYPOINT"}


@pytest.mark.parametrize("case", GENERATED, ids=lambda case: case.name)
def test_no_source_of_packages_and_no_secret_is_written_down(case: ProjectCase) -> None:
    text = "\n".join(line for line in lines_of(case) if "image.source=" not in line and "HEALTHCHECK" not in line)
    assert "://" not in text
    project = case.project()
    arguments = re.findall(r"^ARG (.+)$", text, re.MULTILINE)
    assert arguments == [*LANGUAGES[project.spec.language].sources, 'REVISION=""', 'VERSION=""']
    # Values of the environment are for the chart: an image is the same everywhere.
    for value in project.spec.run.env.values():
        assert not value.strip() or value not in text


@pytest.mark.parametrize("case", GENERATED, ids=lambda case: case.name)
def test_writable_folders_belong_to_the_user(case: ProjectCase) -> None:
    project, lines = case.project(), lines_of(case)
    user = project.spec.run.user
    given_away = {
        line.split()[-1].rstrip("/") for line in lines if line.startswith(f"COPY --from=build --chown={user}:")
    }
    for line in lines:
        match = re.search(r'"mkdir -p ([^&"]+) && chown ([0-9:]+) ([^&"]+)"', line)
        if match is not None:
            assert match[2] == f"{user}:{user}" and match[1] == match[3]
            given_away |= set(match[1].split())
    declared = [exec_form(line) for line in lines if line.startswith("VOLUME ")]
    assert declared == ([project.spec.run.writable] if project.spec.run.writable else [])
    # Every system has a /tmp for all; scratch has nothing.
    missing = set(project.spec.run.writable) - given_away
    assert missing <= (set() if project.spec.language == "go" else {"/tmp"})


def test_a_registry_stands_in_place_of_that_of_our_images_alone() -> None:
    project = load_project(PLAIN)
    text = image_files(project, "registry.example.net:5000/mirror").dockerfile
    assert "FROM registry.example.net:5000/mirror/library/golang:" in text and "FROM scratch\n" in text
    assert base_images(load_project(EVERYTHING), "registry.example.net") == base_images(load_project(EVERYTHING))


def test_mvnw_gets_no_goal_from_the_image_of_maven() -> None:
    ours = [case for case in GENERATED if case.project().spec.language == "java"]
    assert ours
    for case in ours:
        lines = lines_of(case)
        first = next(index for index, line in enumerate(lines) if line.startswith("RUN "))
        assert lines.index('ENV MAVEN_CONFIG=""') < first


def test_a_dockerfile_of_the_project_is_left_alone() -> None:
    files = image_files(sample(docker={"file": "docker/Dockerfile"}))
    assert (files.own, files.dockerfile, files.dockerignore) == ("docker/Dockerfile", "", "")


def test_virtual_machines_have_no_image() -> None:
    with pytest.raises(RefusedError, match="runs on virtual machines and has no image; use deploy: container"):
        image_files(load_project(MACHINES))


@given(st.lists(TEXT, min_size=1, max_size=4), TEXT.filter(str.strip), st.lists(TEXT, min_size=1, max_size=3))
@settings(max_examples=200, deadline=None, database=None)
def test_words_stay_words_whatever_they_hold(run: list[str], build: str, health: list[str]) -> None:
    def dockerfile(run: list[str], build: str, health: list[str]) -> str:
        made = {"command": build, "artifact": "x"}
        project = sample(run={"command": run}, build=made, health={"command": health}, docker={"healthcheck": True})
        return image_files(project).dockerfile

    plain = dockerfile(["x"], "x", ["x"])
    text = dockerfile(run, f"{build}\n<<EOF\nUSER root", health)
    assert text.isascii() and "<" not in text
    lines = text.splitlines()
    assert [line.split()[0] for line in lines if line] == [line.split()[0] for line in plain.splitlines() if line]
    assert entrypoint(text) == run
    commands = [exec_form(line) for line in lines if line.startswith("RUN --mount")]
    assert commands == [["/bin/sh", "-ec", f"{build}\n<<EOF\nUSER root"]]
    (check,) = (line for line in lines if line.startswith("HEALTHCHECK "))
    assert exec_form(check) == health


def test_a_source_with_a_dollar_sign_stays_what_it_is() -> None:
    # No URL that is taken holds one today; the label would not be expanded if it did.
    from generator.ci.dockerfile import _quoted

    assert _quoted('a"$B\\') == '"a\\"\\$B\\\\"'


@pytest.mark.parametrize(
    ("language", "artifact", "made"),
    [
        ("go", "bin/hello", {"hello"}),
        ("java", "target/hello.jar", {"hello.jar"}),
        ("nodejs", "dist", {"dist/main.js", "package.json", "node_modules/a/index.js"}),
        ("php", "public", {"public/index.php", "composer.json", "vendor/autoload.php"}),
    ],
)
def test_what_is_to_run_is_gathered_by_a_real_shell(
    tmp_path: Path, language: str, artifact: str, made: set[str]
) -> None:
    source, result = tmp_path / "src", tmp_path / "out"
    for path in ("bin/hello", "target/hello.jar", "dist/main.js", "package.json", "node_modules/a/index.js",
                 "public/index.php", "composer.json", "vendor/autoload.php", "secret/of/the/build"):  # fmt: skip
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text("x")
        (source / path).chmod(0o600)
    project = sample(language=language, build={"command": "true", "artifact": artifact}, run={"command": ["x"]})
    gathering = next(
        exec_form(line) for line in image_files(project).dockerfile.splitlines() if line.startswith('RUN ["/bin/sh"')
    )
    command = gathering[2].replace("/out", str(result)).replace("/empty", str(tmp_path / "empty"))
    subprocess.run(["/bin/sh", "-ec", command], cwd=source, check=True)
    files = {path.relative_to(result).as_posix() for path in result.rglob("*") if path.is_file()}
    assert files == made
    assert all(path.stat().st_mode & 0o004 for path in result.rglob("*"))
    shutil.rmtree(source / artifact.partition("/")[0])
    shutil.rmtree(result)
    assert subprocess.run(["/bin/sh", "-ec", command], cwd=source, capture_output=True).returncode != 0


@pytest.mark.parametrize("case", GENERATED, ids=lambda case: case.name)
def test_the_ignored_files_are_those_of_secrets_and_of_git(case: ProjectCase) -> None:
    ignored = image_files(case.project()).dockerignore.splitlines()
    assert {".git/", "**/.env", "**/*.key", "**/id_rsa*", "**/.npmrc"} <= set(ignored)
    assert set(LANGUAGES[case.project().spec.language].ignored) <= set(ignored)


def test_every_language_has_golden_cases_in_containers_and_on_machines() -> None:
    projects = [case.project() for case in PROJECT_CASES]
    found = {(one.spec.language, one.is_vm) for one in projects}
    assert found == {(language, on_machines) for language in LANGUAGES for on_machines in (False, True)}
    # Values and units of every environment are among them.
    for language, on_machines in found:
        names = {
            name for one in projects if (one.spec.language, one.is_vm) == (language, on_machines)
            for name in one.environment_names
        }  # fmt: skip
        assert names == set(ENVIRONMENTS), (language, on_machines)


def test_hash_seed_locale_and_time_zone_change_nothing() -> None:
    code = (
        "import hashlib; from tests.golden.ci_cases import PROJECT_CASES; "
        "print(hashlib.sha256(repr([sorted(one.actual().items()) for one in PROJECT_CASES]).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale, "TZ": zone},
        ).stdout
        for seed, locale, zone in (("1", "C", "UTC"), ("2", "C.UTF-8", "Asia/Kathmandu"))
    }  # fmt: skip
    here = hashlib.sha256(repr([sorted(one.actual().items()) for one in PROJECT_CASES]).encode()).hexdigest()
    assert digests == {f"{here}\n"}
