"""Hosts of the lab that come up by user-data: a mirror of binaries beside them, and a seed on their disks."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.seed import seed_files
from lab import network
from lab.lab import Lab
from tests.lab.cluster_under_test import LabCluster

PORT = 8099
SEED = "var/lib/cloud/seed/nocloud"


@contextmanager
def mirror(artifacts: Path) -> Iterator[str]:
    """Serve binaries by HTTP where the hosts reach them; yields the URL."""
    address = str(network.GATEWAY)
    words = [sys.executable, "-m", "http.server", str(PORT), "--bind", address, "--directory", str(artifacts)]
    server = subprocess.Popen(
        [*network.entering(network.NAMESPACE), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(1)
        assert server.poll() is None, f"nothing can listen on {address}:{PORT}"
        yield f"http://{address}:{PORT}"
    finally:
        server.terminate()
        server.wait()


def spec_with(url: str) -> Callable[[dict[str, Any]], None]:
    """Return the change by which hosts have user-data and fetch from a mirror."""

    def change(spec: dict[str, Any]) -> None:
        spec["artifacts"] = {"mirror": url, "fetch": "host"}
        spec["cloudInit"] = {"targets": ["nocloud"]}

    return change


def bring_up(hosts: Lab, cluster: LabCluster) -> None:
    """Apply the control plane alone; the workers stay bare."""
    done = cluster.invoke("apply", "--yes", "--limit", ",".join(cluster.control))
    assert done.returncode == 0, done.stdout + done.stderr
    hosts.import_images(*cluster.control)


@dataclass
class MadeHosts:
    """The cluster, and the hosts beneath it."""

    hosts: Lab
    cluster: LabCluster

    def boot(self, name: str, *words: str) -> None:
        """Make a host's user-data by the verb, put it on its disk as a seed, and boot it; `words` are options."""
        out = self.cluster.workspace.parent / f"{name}.user-data"
        made = self.cluster.invoke("user-data", "--host", name, "--out", str(out), *words)
        assert made.returncode == 0, made.stderr
        self.hosts.stop(name)
        root = self.hosts.host(name).root
        (root / "etc/cloud/cloud-init.disabled").unlink()
        (root / SEED).mkdir(parents=True)
        for file, content in seed_files(self.cluster.name, name, out.read_bytes()).items():
            (root / SEED / file).write_bytes(content)
        self.hosts.start(name)
        done = self.cluster.try_sh(name, "cloud-init status --wait --long")
        log = self.cluster.try_sh(name, "cat /var/log/cloud-init-output.log").stdout
        assert "status: done" in done.stdout, done.stdout + log
