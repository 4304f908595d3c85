"""The clusters of a lab session, each in a folder of its own: workspace, identity, and which hosts it is made of."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from generator.sealing import create_identity
from lab import remote
from lab.cluster import lab_spec, versions_in, write_spec
from lab.lab import Lab
from tests.lab.cluster_under_test import Completed, LabCluster

SpecChange = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class Layout:
    """A cluster's name and its hosts; those in `spare` are there and belong to no cluster yet."""

    name: str
    control: tuple[str, ...]
    workers: tuple[str, ...]
    spare: tuple[str, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        return (*self.control, *self.workers, *self.spare)

    @classmethod
    def kept(cls, folder: Path) -> Layout:
        """The layout of a cluster that an earlier session kept."""
        found = json.loads((folder / "layout.json").read_text())
        return cls(found["name"], *(tuple(found[field]) for field in ("control", "workers", "spare")))


LAB = Layout("lab", ("cp1", "cp2", "cp3"), ("w1", "w2"), ("w3",))
PAIR = Layout("pair", ("q1",), ("q2",))
CLOUD = Layout("cloud", ("c1",), ("c2", "c3"))


def environment(folder: Path) -> dict[str, str]:
    """What an operator of the cluster has in the environment."""
    return {
        **os.environ,
        "SLIPWAY_ROOT": str(folder / "workspace"),
        "SLIPWAY_IDENTITY": str(folder / "identity"),
        "SLIPWAY_SSH_KEY": str(remote.key_path()),
    }


def attached(hosts: Lab, folder: Path, artifacts: Path, kernel_settings_before: str) -> LabCluster:
    """The cluster whose workspace lies in a folder; nothing is done to it."""
    layout = Layout.kept(folder)
    surroundings = environment(folder)

    def run_on(host: str, script: str) -> Completed:
        return remote.run_on(hosts.host(host), ["sh", "-c", script], timeout=120)

    cluster = LabCluster(
        workspace=folder / "workspace",
        name=layout.name,
        addresses={host.name: str(host.address) for host in hosts.hosts if host.name in layout.hosts},
        artifacts=artifacts,
        kubectl=next(artifacts.glob("kubernetes/*/bin/linux/*/kubectl")),
        run_on=run_on,
        run_in_lab=lambda words, more: hosts.exec_in_lab_namespace(words, env={**surroundings, **more}, timeout=1500),
        stop=hosts.stop,
        start=hosts.start,
        kernel_settings_before=kernel_settings_before,
        control=layout.control,
        workers=layout.workers,
    )
    if (folder / "first-apply.json").exists():
        cluster.first_apply = subprocess.CompletedProcess(**json.loads((folder / "first-apply.json").read_text()))
    return cluster


def created(
    hosts: Lab,
    base: Path,
    layout: Layout,
    artifacts: Path,
    kernel_settings_before: str,
    change: SpecChange | None = None,
) -> LabCluster:
    """A new workspace with a locked and rendered cluster that knows the keys of its hosts; nothing is applied."""
    folder = base / layout.name
    workspace = folder / "workspace"
    inputs = workspace / "clusters" / layout.name
    inputs.mkdir(parents=True)
    (folder / "layout.json").write_text(json.dumps(asdict(layout)) + "\n")
    recipient = create_identity(folder / "identity", workspace)
    (inputs / "recipients.txt").write_text(f"{recipient}\n")
    cluster = attached(hosts, folder, artifacts, kernel_settings_before)
    spec = lab_spec(
        layout.name,
        control={host: cluster.addresses[host] for host in layout.control},
        workers={host: cluster.addresses[host] for host in layout.workers},
        versions=versions_in(artifacts),
    )
    if change is not None:
        change(spec)
    write_spec(inputs / "cluster.yaml", spec)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=workspace, check=True)
    for words in (("lock", "--source", str(artifacts)), ("render",), ("hosts.scan", "--yes")):
        done = cluster.invoke(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    cluster.commit("a bare cluster")
    return cluster


def applied(hosts: Lab, cluster: LabCluster, surroundings: Mapping[str, str] | None = None) -> Completed:
    """Run the first apply and put the lab's images on the nodes; what it said stays in the cluster's folder.

    `surroundings` are added to the environment of the run.
    """
    done = cluster.invoke("apply", "--yes", "--source", str(cluster.artifacts), environment=surroundings)
    cluster.first_apply = done
    if done.returncode == 0:
        hosts.import_images(*cluster.control, *cluster.workers)
    words = {"args": list(done.args), "returncode": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
    (cluster.workspace.parent / "first-apply.json").write_text(json.dumps(words))
    return done
