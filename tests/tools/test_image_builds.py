"""buildah and BuildKit really build the image of every golden project on stand-ins for its bases; it is judged.

The stand-ins hold busybox and scripts with the names of the languages' tools, which make what a build is to make. What
is real is all that the Dockerfile itself says: stages, mounts of secrets and caches, owners, ignored files, words.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generator.ci.dockerfile import base_images, image_files
from generator.ci.languages import LANGUAGES, SCRATCH
from tests.golden.ci_cases import CONTAINER_CASES, ProjectCase
from tests.tools.image_builders import Buildah, Builder, BuildKit, needed
from tests.tools.test_node_tools import program

pytestmark = pytest.mark.tools

CASES = [case for case in CONTAINER_CASES if case.name != "own-dockerfile"]
TOOLS = ("go", "mvn", "composer", "php", "npm", "yarn", "python", "pip")
TOOL = """#!/bin/sh
# Makes what made.txt lists, with a mode that nobody else can read.
umask 077
mkdir -p /venv/bin
while read -r path; do mkdir -p "$(dirname "$path")"; echo made >"$path"; done <made.txt
test "$(cat %s)" = a-credential || exit 9
"""
IGNORED = (".git/config", ".env", "sub/.npmrc", "id_rsa", "Dockerfile.old")


@pytest.fixture(scope="module", params=[Buildah, BuildKit], ids=["buildah", "buildkit"])
def builder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    needed()
    folder = tmp_path_factory.mktemp(request.param.__name__)
    made = request.param(folder)
    try:
        for language in sorted({case.project().spec.language for case in CASES}):
            stand_in(made, language)
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


def stand_in(builder: Builder, language: Any) -> None:
    """Make the base images of a language, as far as golden projects need them."""
    root = builder.folder / language
    for path in ("bin", "tmp", "root", "etc/ssl/certs", "usr/local/bin", "usr/local/etc/php-fpm.d"):
        (root / path).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/ssl/certs/ca-certificates.crt").write_text("certificates\n")
    busybox = program("busybox")
    shutil.copy(busybox, root / "bin" / "busybox")
    for name in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    for name in TOOLS:
        tool = root / "usr/local/bin" / name
        tool.write_text(TOOL % LANGUAGES[language].secret.target)
        tool.chmod(0o755)
    images = {
        name for case in CASES if case.project().spec.language == language for name in base_images(case.project())
    }
    # What has a digest is named by it and cannot be made here; the test takes the digest away.
    builder.base(root, [without_digest(image) for image in sorted(images - {SCRATCH})])


def without_digest(image: str) -> str:
    name, _, digest = image.partition("@")
    return name if not digest or ":" in name.rpartition("/")[2] else f"{name}:by-digest"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_builds_what_the_project_says(case: ProjectCase, builder: Builder, tmp_path: Path) -> None:
    project, files = case.project(), image_files(case.project())
    text = files.dockerfile
    for image in base_images(project):
        text = text.replace(f"FROM {image}", f"FROM {without_digest(image)}")
    (tmp_path / "Dockerfile").write_text(text)
    (tmp_path / ".dockerignore").write_text(files.dockerignore)
    for name in ("main.txt", "requirements.txt", "composer.json", "package.json", *IGNORED):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("source\n")
        (tmp_path / name).chmod(0o600)
    (tmp_path / "made.txt").write_text(f"{project.artifact or 'made-by-the-build'}\n")
    secret = tmp_path.with_name(f"{tmp_path.name}-secret")
    secret.write_text("a-credential")
    given = f"id={LANGUAGES[project.spec.language].secret.id},src={secret}"
    config = builder.build(tmp_path, given, "REVISION=abc$d")
    spec = project.spec
    assert config["Entrypoint"] == list(project.run_command()) and not config["Cmd"]
    assert config["User"] == f"{spec.run.user}:{spec.run.user}"
    assert set(config["ExposedPorts"]) == {f"{spec.run.port}/tcp"}
    assert set(config.get("Volumes") or {}) == set(spec.run.writable)
    assert config["Labels"]["org.opencontainers.image.source"] == spec.git.url
    assert config["Labels"]["org.opencontainers.image.revision"] == "abc$d"
    check = config.get("Healthcheck")
    assert (check is not None) == spec.docker.healthcheck
    if check is not None and spec.health.command is not None:
        assert check["Test"] == ["CMD", *spec.health.command]
    with builder.files() as root:
        judge_files(case, root)


def judge_files(case: ProjectCase, root: Path) -> None:
    """Judge the files of an image: owners, modes, nothing ignored, no credential."""
    spec = case.project().spec
    for path in spec.run.writable:
        status = (root / path.lstrip("/")).stat()
        theirs = (status.st_uid, status.st_gid) == (spec.run.user, spec.run.user)
        assert theirs or (path == "/tmp" and status.st_mode & 0o1777 == 0o1777), path
    app = [path for path in (root / "app").rglob("*") if path.is_file()]
    assert any(path.read_text() == "made\n" for path in app), app
    for path in app:
        assert path.stat().st_uid == 0 and path.stat().st_mode & 0o004, path
    assert not [name for name in IGNORED if (root / "app" / name).exists()]
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 100_000:
            assert b"a-credential" not in path.read_bytes() or path.parent.name == "bin", path
