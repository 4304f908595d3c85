"""A cluster whose hosts are the targets of a farm, in a workspace outside of the repository."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.farm import Farm, Target
from bench.measuring import Run, run
from bench.workspace import CLUSTER, CONTROL, identity_path, make_workspace, spec_of
from fleet.tree import load as load_tree
from generator.artifacts_lock import LOCK_FILE, lock_from_directory, lock_text
from generator.render.bom import needed_artifacts
from generator.spec import load
from lab.cluster import write_spec

_REPOSITORY = Path(__file__).resolve().parents[1]
_INVOKE = Path(sys.executable).parent / "invoke"


class FarmCluster:
    """A rendered cluster on a farm. `size` is that of each program in its artifacts, in bytes.

    The artifacts are archives of noise at the places of the real ones: nothing on a target is ever started.
    """

    def __init__(self, farm: Farm, root: Path, size: int = 1024, beyond: int = 0) -> None:
        shutil.rmtree(root, ignore_errors=True)
        self.farm = farm
        self.root = root
        self.inputs = root / "clusters" / CLUSTER
        self.spec = _spec(farm.targets, beyond)
        make_workspace(root, len(farm.targets))
        write_spec(self.inputs / "cluster.yaml", self.spec)
        shutil.copyfile(farm.known_hosts, self.inputs / "known_hosts")
        self.verb("render")
        self._lock(size)
        self.verb("render")

    @property
    def rendered(self) -> Path:
        """The folder of the rendered tree."""
        return self.root / "rendered" / CLUSTER

    @property
    def source(self) -> Path:
        """The folder of the artifacts."""
        return self.root / "artifacts"

    @property
    def environment(self) -> dict[str, str]:
        """What the environment says to verbs and library calls."""
        return {
            "SLIPWAY_ROOT": str(self.root),
            "SLIPWAY_IDENTITY": str(identity_path(self.root)),
            "SLIPWAY_SSH_KEY": str(self.farm.key),
        }

    def verb(self, *words: str, accept: Sequence[int] = (0,)) -> Run:
        """Run a verb on the cluster, where the targets are neighbours."""
        argv = self.farm.inside([_INVOKE, "--search-root", _REPOSITORY, *words])
        return run(argv, env=self.environment, accept=accept)

    def push(self, *words: str) -> Run:
        """Push to the targets, or to some of them."""
        return self.verb("push", "--source", str(self.source), *words)

    def program(self, *words: str | Path) -> Run:
        """Run a module of the benchmarks where the targets are neighbours."""
        argv = self.farm.inside([sys.executable, "-m", *words])
        return run(argv, cwd=_REPOSITORY, env=self.environment)

    def change(self, most_pods: int) -> None:
        """Change one file on every host, and render."""
        self.spec["components"] = {"kubelet": {"config": {"maxPods": most_pods}}}
        write_spec(self.inputs / "cluster.yaml", self.spec)
        self.verb("render")

    def forget(self) -> None:
        """Take everything of Slipway from the targets but their binaries, as if only those had been pushed."""
        for target in self.farm.targets:
            shutil.rmtree(target.root / "var/lib/slipway/staged", ignore_errors=True)

    def _lock(self, size: int) -> None:
        members: dict[str, set[str]] = {}
        for host in load_tree(self.rendered).hosts.values():
            for item in host.items:
                if item.kind == "binary":
                    members.setdefault(item.artifact, set()).add(item.member)
        needed = needed_artifacts(load(self.root, CLUSTER))
        for artifact in needed:
            path = self.source / artifact.path
            path.parent.mkdir(parents=True, exist_ok=True)
            names = sorted(members.get(artifact.name, {""}))
            path.write_bytes(os.urandom(size) if names == [""] else _archive(names, size))
        lock = lock_from_directory(self.source, needed)
        (self.inputs / LOCK_FILE).write_text(lock_text(lock))


def _spec(targets: Sequence[Target], beyond: int) -> dict[str, Any]:
    """Return the spec of a farm's cluster, with `beyond` more workers that do not exist."""
    spec = spec_of(len(targets) + beyond)
    control = CONTROL if len(targets) > CONTROL else 1
    hosts = {
        f"{'cp' if number < control else 'target'}-{number:03d}": {
            "pool": "control" if number < control else "workers",
            "address": str(target.address),
        }
        for number, target in enumerate(targets)
    }
    ghosts = {
        f"worker-{first + 1:04d}": {"pool": "workers", "address": f"10.0.{1 + first // 250}.{1 + first % 250}"}
        for first in range(beyond)
    }
    return {**spec, "artifacts": {"fetch": "push"}, "hosts": {**hosts, **ghosts}}


def _archive(names: Sequence[str], size: int) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=1) as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = size, 0o755
            tar.addfile(entry, io.BytesIO(os.urandom(size)))
    return raw.getvalue()
