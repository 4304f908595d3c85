"""buildah and BuildKit as they are, each with a storage of its own that goes with the tests.

BuildKit is the one inside dockerd (Debian's is 20.10): the same frontend dockerfile.v0 that `buildctl` asks for, and
that release knows the mounts of RUN without a `syntax` line.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.tools.test_node_tools import program

IMAGE = "judged:1"


class Builder(ABC):
    """Builds images in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def base(self, root: Path, names: Sequence[str]) -> None:
        """Make a folder the base image of these names, with /usr/local/bin and /bin as its PATH.

        Like the official images it starts something by itself, which what is built on it may not.
        """

    @abstractmethod
    def build(self, context: Path, secret: str, argument: str) -> dict[str, Any]:
        """Build a context with a secret (id=…,src=…) and a build argument; return the image's configuration."""

    @abstractmethod
    def files(self) -> AbstractContextManager[Path]:
        """Give the root of what was built last."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing behind but the folder."""


def ran(words: Sequence[str], environment: dict[str, str], check: bool = True) -> str:
    done = subprocess.run(
        words, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done.stdout.strip()


class Buildah(Builder):
    """buildah with chroot as isolation."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "tmp").mkdir()
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\nrunroot = "{folder}/run"\ngraphroot = "{folder}/graph"\n'
        )
        (folder / "registries.conf").write_text("unqualified-search-registries = []\n")
        (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def run(self, *words: str, check: bool = True) -> str:
        environment = {
            "BUILDAH_ISOLATION": "chroot",
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self.folder / "registries.conf"),
            "TMPDIR": str(self.folder / "tmp"),
        }
        return ran([program("buildah"), *words], environment, check)

    @property
    def policy(self) -> tuple[str, str]:
        return "--signature-policy", str(self.folder / "policy.json")

    def base(self, root: Path, names: Sequence[str]) -> None:
        container = self.run("from", "scratch")
        self.run("add", container, str(packed(root)), "/")
        self.run("config", "--env", "PATH=/usr/local/bin:/bin", "--cmd", '["inherited"]', container)
        for name in names:
            self.run("commit", "--quiet", *self.policy, container, name)
        self.run("rm", container)

    def build(self, context: Path, secret: str, argument: str) -> dict[str, Any]:
        words = ("--format", "docker", "--pull-never", *self.policy, "--secret", secret, "--build-arg", argument)
        self.run("bud", *words, "--tag", IMAGE, str(context))
        found: dict[str, Any] = json.loads(self.run("inspect", "--type", "image", IMAGE))["Docker"]["config"]
        return found

    @contextmanager
    def files(self) -> Iterator[Path]:
        container = self.run("from", "--pull-never", IMAGE)
        try:
            yield Path(self.run("mount", container))
        finally:
            self.run("umount", container)
            self.run("rm", container)

    def close(self) -> None:
        self.run("rm", "--all", check=False)
        self.run("rmi", "--all", "--force", check=False)


class BuildKit(Builder):
    """The builder of a dockerd that has no network of its own and touches none of the machine's."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._socket = f"unix://{folder / 'docker.sock'}"
        said = folder / "log"
        words = [
            program("dockerd"), "--host", self._socket, "--pidfile", str(folder / "pid"),
            "--data-root", str(folder / "data"), "--exec-root", str(folder / "run"), "--storage-driver", "vfs",
            "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
            "--config-file", str(folder / "none.json"),
        ]  # fmt: skip
        (folder / "none.json").write_text("{}\n")
        with said.open("wb") as log:
            self._daemon = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while subprocess.run([*self._docker(), "version"], capture_output=True, check=False).returncode != 0:
            assert self._daemon.poll() is None and time.monotonic() < end, said.read_text()
            time.sleep(0.2)

    def _docker(self) -> list[str]:
        # That of the daemon's package: a newer client has its own builder, which may not be installed.
        client = Path(program("dockerd")).parents[1] / "bin" / "docker"
        return [str(client), "--host", self._socket]

    def run(self, *words: str) -> str:
        return ran([*self._docker(), *words], {"DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": str(self.folder / "config")})

    def base(self, root: Path, names: Sequence[str]) -> None:
        (first, *more) = names
        changes = ("--change", "ENV PATH=/usr/local/bin:/bin", "--change", 'CMD ["inherited"]')
        self.run("import", *changes, str(packed(root)), first)
        for name in more:
            self.run("tag", first, name)

    def build(self, context: Path, secret: str, argument: str, dockerfile: Path | None = None) -> dict[str, Any]:
        words = ["build", "--network", "host", "--secret", secret, "--build-arg", argument]
        words += ["--file", str(dockerfile)] if dockerfile else []
        self.run(*words, "--tag", IMAGE, str(context))
        # The same build once more, out of the cache; a tar keeps the owners, and a folder does not.
        self.run(*words, "--output", f"type=tar,dest={self.folder / 'files.tar'}", str(context))
        shutil.rmtree(self.folder / "files", ignore_errors=True)
        with tarfile.open(self.folder / "files.tar") as archive:
            archive.extractall(self.folder / "files", numeric_owner=True, filter="fully_trusted")
        found: dict[str, Any] = json.loads(self.run("inspect", IMAGE))[0]["Config"]
        return found

    @contextmanager
    def files(self) -> Iterator[Path]:
        yield self.folder / "files"

    def close(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(60)
        # It leaves its groups behind, without a process in them.
        for group in sorted(Path("/sys/fs/cgroup").glob("**/docker/buildkit"), reverse=True):
            for one in (group, group.parent):
                one.rmdir()


def packed(root: Path) -> Path:
    """Return a tar of a folder, beside it."""
    archive = root.with_suffix(".tar")
    with tarfile.open(archive, "w") as made:
        made.add(root, arcname=".")
    return archive


def needed() -> None:
    """Skip where the builders cannot run."""
    if os.geteuid() != 0:
        pytest.skip("these builders need root here, or ids of their own, which a test cannot give")
