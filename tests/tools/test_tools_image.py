"""The image of the agent `slipway`: built by BuildKit on stand-ins, it holds all that a plan calls, and Slipway runs.

The stand-ins have scripts in place of apt-get and of Python. What is real is the Dockerfile, what comes into its
context, and Slipway as it lies in the image, which the Python of these tests runs.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.image_builders import BuildKit, needed
from tests.tools.test_node_tools import program

pytestmark = pytest.mark.tools

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "addons" / "jenkins" / "tools"
TEXT = (FOLDER / "Dockerfile").read_text()
SCRIPTS = {
    "python3": "mkdir -p bin lib/python3.11/site-packages && cp /usr/local/bin/none bin/pip && cp bin/pip bin/python",
    "none": "exit 0",
    "apt-get": 'case $1 in install) : >/usr/bin/newuidmap; : >/usr/bin/newgidmap; echo "$*" >/asked ;; esac',
    "setcap": 'echo "$*" >>/capabilities',
    "useradd": "exit 0",
}  # fmt: skip


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files of the image."""
    needed()
    folder = tmp_path_factory.mktemp("tools")
    builder = BuildKit(folder)
    try:
        root = folder / "base"
        for path in ("bin", "usr/local/bin", "usr/bin", "var/lib/apt/lists", "opt", "home/jenkins", "etc", "tmp"):
            (root / path).mkdir(parents=True)
        shutil.copy(program("busybox"), root / "bin" / "busybox")
        for name in ("sh", "cp", "mkdir", "rm", "chmod", "ln", "printf", "echo"):
            (root / "bin" / name).symlink_to("busybox")
        for name, script in SCRIPTS.items():
            (root / "usr/local/bin" / name).write_text(f"#!/bin/sh\n{script}\n")
            (root / "usr/local/bin" / name).chmod(0o755)
        for name in ("usr/local/bin/trivy", "grype", "usr/bin/helm", "usr/bin/buildctl"):
            (root / name).write_text(f"{name}\n")
        text = re.sub(r"@sha256:[0-9a-f]{64}", "", TEXT)
        builder.base(
            root, sorted({name.replace("$REGISTRY", "docker.io") for name in re.findall(r"FROM (\$\S+)", text)})
        )
        # Named beside the context, as one does who has it elsewhere: its own list of what is ignored goes with it.
        own = folder / "own"
        own.mkdir()
        (own / "Dockerfile").write_text(text)
        shutil.copy(FOLDER / "Dockerfile.dockerignore", own)
        builder.build(REPOSITORY, "id=pip-conf,src=/dev/null", "PIP_INDEX_URL=x", own / "Dockerfile")
        with builder.files() as files:
            yield files
    finally:
        builder.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([str(hadolint), str(FOLDER / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_every_base_has_a_version_and_a_digest() -> None:
    bases = re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE)
    outside = [name for name in bases if name.startswith("$REGISTRY/")]
    assert len(outside) == 5 and set(bases) - set(outside) == {"base"}
    for name in outside:
        assert re.fullmatch(r"\$REGISTRY/[a-z/-]+:v?\d+\.\d+\.\d+[a-z-]*@sha256:[0-9a-f]{64}", name), name


def test_buildctl_is_of_the_same_release_as_the_builder() -> None:
    (theirs,) = re.findall(r"moby/buildkit:(v[\d.]+)-rootless", (REPOSITORY / "addons/jenkins.libsonnet").read_text())
    assert re.findall(r"moby/buildkit:(v[\d.]+)@", TEXT) == [theirs]


EVERYWHERE = {"/bin/sh", "install", "rm"}
"""What Debian always has: dash and coreutils."""


def test_it_has_every_program_that_a_plan_calls(image: Path) -> None:
    called = {"git"}
    for file in (REPOSITORY / "tests/golden/pipeline").glob("*/rendered/stages-*.json"):
        document = json.loads(file.read_text())
        called |= {called_by(command) for command in commands(document)} - EVERYWHERE
    assert {"slipway", "trivy", "grype", "helm", "skopeo", "buildctl", "buildah"} < called
    installed = set((image / "asked").read_text().split())
    for name in called:
        assert name in installed or (image / "usr/local/bin" / name).is_symlink() or there(image, name), name


def called_by(command: list[str]) -> str:
    """Return the program of a command, behind the variables that it gets."""
    words = command[1:] if command[0] == "env" else command
    return next(word for word in words if "=" not in word)


def there(image: Path, name: str) -> bool:
    return (image / "usr/local/bin" / name).read_text().endswith(f"{name}\n")


def commands(document: object) -> Iterator[list[str]]:
    """Yield the lists of words in a plan that are commands, but not what the agent of the language runs."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "command" and isinstance(value, list):
                yield value
            elif key in {"commands", "dockerfile", "build", "scan", "push"} and isinstance(value, list):
                yield from value
            else:
                yield from commands(value)


def test_who_maps_ids_needs_no_more_than_the_pod_has(image: Path) -> None:
    assert (image / "capabilities").read_text().split("\n")[:2] == [
        "cap_setuid=ep /usr/bin/newuidmap", "cap_setgid=ep /usr/bin/newgidmap",
    ]  # fmt: skip
    for name in ("newuidmap", "newgidmap"):
        assert (image / "usr/bin" / name).stat().st_mode & 0o7777 == 0o755


def test_slipway_runs_as_it_lies_there(image: Path, tmp_path: Path) -> None:
    source = image / "opt/slipway/source"
    assert {path.name for path in source.iterdir()} == {
        "addons", "cookiecutter-cluster", "fleet", "generator", "lab", "verbs",
    }  # fmt: skip
    script = (image / "opt/slipway/bin/slipway").read_text()
    assert script.splitlines()[0] == "#!/opt/slipway/bin/python"
    project = REPOSITORY / "tests/golden/pipeline/container/project.yaml"
    words = ["ci.stages", "--project", str(project), "--env", "dev", "--push", "registry.example.net", "--json"]
    run = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(source)!r}); sys.argv[0] = 'slipway'\n{script}"]
    done = subprocess.run([*run, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["release"]["chart"] == str(source / "addons/charts/app")
