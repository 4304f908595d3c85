"""The pipeline's agent, on lab hosts: Slipway, helm with the token of its account, an image builder without root."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.render.charts import CHARTS, chart
from lab import images, registry
from tests.ci.helm import program, surroundings
from tests.golden.addon_cases import AddonCase
from tests.lab.cluster_under_test import Completed, LabCluster

NAMESPACE = "apps-dev"
AGENTS = "jenkins-agents"
DEPLOYER = f"system:serviceaccount:{AGENTS}:deployer"
BUILDER = "slipway-lab-ci"
"""A user of this machine while the tests run."""
GO = Path("/usr/lib/go-1.19")


def environment() -> Iterator[str]:
    """The objects of the environment and of its account, out of Jenkins' set."""
    files = AddonCase("jenkins", "default").files()
    own = re.compile(rf"Namespace-({NAMESPACE}|{AGENTS})|\w+-{NAMESPACE}-.*|ServiceAccount-{AGENTS}-deployer")
    found = [text.decode() for path, text in sorted(files.items()) if own.fullmatch(Path(path).stem)]
    kinds = Counter(yaml.safe_load(text)["kind"] for text in found)
    assert kinds == {"Namespace": 2, "NetworkPolicy": 3, "Role": 1, "RoleBinding": 1, "ServiceAccount": 1}
    # Namespaces come first in it, as they must.
    yield from found


class Helm:
    """helm on the cluster as the account `deployer`, with the package of the chart."""

    def __init__(self, lab: LabCluster, folder: Path) -> None:
        found = program()
        if found is None:
            pytest.skip("helm is not installed, and the one of `make setup` is for Linux on x86-64")
        self.lab = lab
        self.program = found
        self.folder = folder
        made = chart(CHARTS / "app")
        self.package = folder / Path(made.path).name
        self.package.write_bytes(made.package)
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(json.dumps(self._of_the_account()))

    def _of_the_account(self) -> dict[str, Any]:
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        path = f"/api/v1/namespaces/{AGENTS}/serviceaccounts/deployer/token"
        token = json.loads(self.lab.kubectl("create", "--raw", path, stdin=json.dumps(asked)))["status"]["token"]
        found: dict[str, Any] = yaml.safe_load(self.lab.admin_kubeconfig().read_text())
        found["users"] = [{"name": one["name"], "user": {"token": token}} for one in found["users"]]
        return found

    @property
    def surroundings(self) -> dict[str, str]:
        """What a program needs that runs helm itself: to find it, and through it the cluster."""
        kept = {key: text for key, text in surroundings().items() if key.startswith("HELM_")}
        path = f"{self.program.parent}:{os.environ['PATH']}"
        return {**kept, "KUBECONFIG": str(self.kubeconfig), "PATH": path}

    def run(self, *words: str, values: dict[str, Any] | None = None) -> Completed:
        command = [str(self.program), f"--kubeconfig={self.kubeconfig}", f"--namespace={NAMESPACE}", *words]
        if values is not None:
            file = self.folder / "values.json"
            file.write_text(json.dumps(values))
            command.append(f"--values={file}")
        return self.lab.in_lab(command, {key: text for key, text in surroundings().items() if key.startswith("HELM_")})

    def done(self, *words: str, values: dict[str, Any] | None = None) -> str:
        ran = self.run(*words, values=values)
        assert ran.returncode == 0, f"helm {' '.join(words)}: {ran.stdout}{ran.stderr}"
        return ran.stdout


class Builder:
    """buildah and skopeo as the agent has them: an ordinary user with the two capabilities that its pod has."""

    def __init__(self, lab: LabCluster, folder: Path, authority: Path) -> None:
        self.lab = lab
        self.folder = folder
        for name in ("source", "bin", "home", "run", "out"):
            (folder / name).mkdir()
        self.own(folder / "home", folder / "run", folder / "out")
        # Set-uid root as Debian has them they would need SYS_ADMIN; docs/ci/jenkins.md says it of the image.
        for name, capability in (("newuidmap", "cap_setuid"), ("newgidmap", "cap_setgid")):
            shutil.copyfile(f"/usr/bin/{name}", folder / "bin" / name)
            (folder / "bin" / name).chmod(0o755)
            subprocess.run(["setcap", f"{capability}=ep", str(folder / "bin" / name)], check=True)
        shutil.copy(authority, folder / "ca.crt")
        self._environment = {
            "HOME": str(folder / "home"),
            "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "TMPDIR": str(folder / "run"),
            "SSL_CERT_FILE": str(folder / "ca.crt"),
        }

    def own(self, *paths: Path) -> None:
        """Give files and folders to the user."""
        subprocess.run(["chown", f"{BUILDER}:", *map(str, paths)], check=True)

    def run(self, *words: str) -> Completed:
        capabilities = "-all,+setuid,+setgid"
        become = ["setpriv", f"--reuid={BUILDER}", f"--regid={BUILDER}", "--init-groups"]
        become += [f"--bounding-set={capabilities}", f"--inh-caps={capabilities}", "--"]
        return self.lab.in_lab([*become, "env", "-C", str(self.folder), *words], self._environment)

    def base(self, image: str) -> None:
        """Make an image of this name with busybox and a real Go, as far as it needs to compile a server."""
        root = self.folder / "base"
        kept = root / "usr/local/go"
        (kept / "pkg/tool/linux_amd64").mkdir(parents=True)
        (kept / "bin").mkdir()
        shutil.copy(GO / "bin/go", kept / "bin/go")
        for library in re.findall(r"/\S+", subprocess.check_output(["ldd", str(GO / "bin/go")], text=True)):
            (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, root / library[1:])
        for tool in ("asm", "buildid", "compile", "link"):
            shutil.copy(GO / "pkg/tool/linux_amd64" / tool, kept / "pkg/tool/linux_amd64" / tool)
        shutil.copytree(GO / "pkg/include", kept / "pkg/include")
        left = shutil.ignore_patterns("cmd", "testdata", "*_test.go")
        shutil.copytree((GO / "src").resolve(), kept / "src", ignore=left)
        (root / "etc/ssl/certs").mkdir(parents=True)
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs")
        shutil.copy(images.build()[images.BUSYBOX], self.folder / "busybox.tar")
        (self.folder / "Dockerfile").write_text(
            f"FROM docker-archive:{self.folder}/busybox.tar\nCOPY base /\n"
            "ENV GOROOT=/usr/local/go GOTOOLCHAIN=local PATH=/usr/local/go/bin:/bin\n"
        )
        words = ("--isolation", "chroot", "--storage-driver", "vfs", "--tag", image, "--file", "Dockerfile", ".")
        done = self.run("buildah", "build", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        shutil.rmtree(root)


@contextmanager
def builder(lab: LabCluster, authority: Path) -> Iterator[Builder]:
    """A user of its own on this machine, with ids to map; it goes with all that it made."""
    registry.build()
    subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/sh", BUILDER], check=True)
    # The user must reach it, and a test's own folder is for root alone.
    folder = Path(tempfile.mkdtemp(prefix="slipway-ci-"))
    folder.chmod(0o755)
    try:
        yield Builder(lab, folder, authority)
    finally:
        subprocess.run(["userdel", BUILDER], check=True)
        shutil.rmtree(folder)


class Agent:
    """Runs the commands of the pipeline's plan as its agent does: Slipway, helm, buildah and skopeo."""

    def __init__(self, lab: LabCluster, helm: Helm, images_of: Builder | None = None) -> None:
        self.lab = lab
        self.helm = helm
        self.images = images_of

    def run(self, commands: Sequence[Sequence[str]], known: Mapping[str, str], timeout: str = "180s") -> Completed:
        """Run commands up to the first that fails; helm waits for `timeout`."""
        assert commands
        for words in commands:
            filled = [reduce(lambda word, name: word.replace(f"@{name}@", known[name]), known, word) for word in words]
            match filled:
                case ["slipway", verb, *rest]:
                    done = self.lab.invoke(verb, *rest, environment=self.helm.surroundings)
                case ["helm", *rest]:
                    rest[rest.index("--timeout") + 1] = timeout
                    done = self.helm.run(*rest)
                case ["buildah" | "skopeo", *_] if self.images is not None:
                    done = self.images.run(*filled)
                case _:
                    raise AssertionError(f"the agent has no {filled[0]}")
            if done.returncode != 0:
                return done
        return done

    def done(self, commands: Sequence[Sequence[str]], known: Mapping[str, str]) -> None:
        ran = self.run(commands, known)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def login(folder: Path, password: str, user: str = "ci") -> Path:
    """Write the registry's login as docker's config.json."""
    file = folder / "config.json"
    file.touch(mode=0o600)
    word = base64.b64encode(f"{user}:{password}".encode()).decode()
    file.write_text(json.dumps({"auths": {registry.HOST: {"auth": word}}}))
    return file
