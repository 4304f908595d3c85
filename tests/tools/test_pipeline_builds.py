"""buildah really runs the pipeline's commands: an archive comes out, and nothing is left in the builder's storage."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from generator.ci.image_build import image_commands
from generator.ci.settings import Settings

pytestmark = [
    pytest.mark.tools,
    pytest.mark.skipif(not shutil.which("buildah"), reason="needs buildah"),
    pytest.mark.skipif(os.geteuid() != 0, reason="buildah without root needs ids of its own, which a test cannot give"),
]
NAME = "registry.example.net/apps/hello:abababababab-7"


def test_buildah_makes_the_archive_and_keeps_nothing(tmp_path: Path) -> None:
    work, out, home = (tmp_path / name for name in ("it's $WORK", "out", "home"))
    for folder in (work / "deploy", out, home / ".config/containers", tmp_path / "tmp"):
        folder.mkdir(parents=True)
    (home / ".config/containers/policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    (home / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\nrunroot = "{home}/run"\ngraphroot = "{home}/graph"\n'
    )
    (work / "deploy/Dockerfile.own").write_text(
        "FROM scratch\nARG REVISION\nARG VERSION\nLABEL revision=$REVISION version=$VERSION\nCOPY hello /hello\n"
    )
    (work / "hello").write_text("hello\n")
    (home / "auth.json").write_text('{"auths": {}}')
    environment = {
        **os.environ, "HOME": str(home), "CONTAINERS_STORAGE_CONF": str(home / "storage.conf"),
        "TMPDIR": str(tmp_path / "tmp"),
    }  # fmt: skip
    archive = str(out / "image.tar")

    def run(words: list[str]) -> str:
        done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    settings = Settings("registry.example.net/apps", builder="buildah")
    commands = image_commands(settings, "go", NAME, "deploy/Dockerfile.own", archive)
    filled = {"@WORK@": str(work), "@COMMIT@": "ab" * 20, "@TAG@": "abababababab-7", "@AUTH@": str(home / "auth.json")}
    for command in commands:
        for slot, value in filled.items():
            command = [word.replace(slot, value) for word in command]
        run(command)
    with tarfile.open(archive) as image:
        file = image.extractfile("manifest.json")
        assert file is not None
        [manifest] = json.load(file)
        config = image.extractfile(manifest["Config"])
        assert config is not None
        labels = json.load(config)["config"]["Labels"]
    assert manifest["RepoTags"] == [NAME]
    assert (labels["revision"], labels["version"]) == ("ab" * 20, "abababababab-7")
    assert json.loads(run(["buildah", "images", "--storage-driver", "vfs", "--json"]) or "[]") in ([], None)
    assert json.loads(run(["buildah", "containers", "--storage-driver", "vfs", "--json"]) or "[]") in ([], None)
