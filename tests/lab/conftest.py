"""One bring-up for all lab tests: five bare hosts and one `invoke apply`; a sixth host waits to join."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from generator.sealing import create_identity
from lab import artifacts, remote
from lab.cluster import lab_spec, versions_in, write_spec
from lab.lab import Lab
from tests.lab.cluster_under_test import Completed, LabCluster

CONTROL = ("cp1", "cp2", "cp3")
WORKERS = ("w1", "w2", "w3")
NAME = "lab"


@pytest.fixture(scope="session")
def lab() -> Iterator[LabCluster]:
    directory = artifacts.build()
    hosts = Lab()
    before = LabCluster.kernel_settings()
    names = (*CONTROL, *WORKERS)
    hosts.destroy(*(host.name for host in hosts.hosts))
    hosts.up(len(names), list(names))
    addresses = {host.name: str(host.address) for host in hosts.hosts}
    base = Path(tempfile.mkdtemp(prefix="slipway-lab-"))
    workspace = base / "workspace"
    (workspace / "clusters").mkdir(parents=True)
    identity = base / "identity"
    recipient = create_identity(identity, workspace)
    write_spec(
        workspace / "clusters" / NAME / "cluster.yaml",
        lab_spec(
            NAME,
            control={host: addresses[host] for host in CONTROL},
            workers={host: addresses[host] for host in WORKERS[:2]},
            versions=versions_in(directory),
        ),
    )
    (workspace / "clusters" / NAME / "recipients.txt").write_text(f"{recipient}\n")
    environment = {
        **os.environ,
        "SLIPWAY_ROOT": str(workspace),
        "SLIPWAY_IDENTITY": str(identity),
        "SLIPWAY_SSH_KEY": str(remote.key_path()),
    }

    def run_on(host: str, script: str) -> Completed:
        return remote.run_on(hosts.host(host), ["sh", "-c", script], timeout=120)

    cluster = LabCluster(
        workspace=workspace,
        name=NAME,
        addresses=addresses,
        artifacts=directory,
        kubectl=next(directory.glob("kubernetes/*/bin/linux/*/kubectl")),
        run_on=run_on,
        run_in_lab=lambda words, more: hosts.exec_in_lab_namespace(words, env={**environment, **more}, timeout=1500),
        stop=hosts.stop,
        start=hosts.start,
        kernel_settings_before=before,
    )
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=workspace, check=True)
    for words in (("lock", "--source", str(directory)), ("render",), ("hosts.scan", "--yes")):
        done = cluster.invoke(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    cluster.commit("a bare cluster")
    began = time.monotonic()
    cluster.first_apply = cluster.invoke("apply", "--yes", "--source", str(directory))
    print(f"first apply: {time.monotonic() - began:.0f} s, exit {cluster.first_apply.returncode}")
    if cluster.first_apply.returncode == 0:
        hosts.import_images(*CONTROL, *WORKERS[:2])
    yield cluster
    if not os.environ.get("SLIPWAY_LAB_KEEP"):
        hosts.down()
        shutil.rmtree(base)
