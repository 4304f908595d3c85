"""The small cluster of the lab: what its spec says beside the usual, and the ways in which it is installed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from lab.lab import Lab
from tests.lab.cluster_under_test import Completed, LabCluster, until
from tests.lab.secret_search import InstallWatch, Needles, needles_of
from tests.lab.session import applied

SIGNING_DURATION = "15m0s"
"""Kubernetes back-dates by five minutes, so that a certificate of a kubelet lives for ten."""

PASSING = (
    {"path": "/etc/slipway-lab/passing.conf", "source": "files/passing.conf"},
    {
        "path": "/etc/systemd/system/kubelet.service.d/50-passing.conf",
        "source": "files/passing-unit.conf",
        "restarts": ["kubelet.service"],
    },
)
"""Files of the first spec that leave with the second one, so that an apply has something to remove."""


def spec_of_pair(spec: dict[str, Any]) -> None:
    """Let the controller manager sign for a short time."""
    spec["components"]["kube-controller-manager"] = {"flags": {"cluster-signing-duration": SIGNING_DURATION}}


def rendered_with_passing(cluster: LabCluster, *, passing: bool) -> None:
    """Render the pair's first spec, which has some files more, or its second one."""
    folder = cluster.inputs / "files"
    folder.mkdir(exist_ok=True)
    (folder / "passing.conf").write_text("nobody reads this\n")
    (folder / "passing-unit.conf").write_text("[Service]\nEnvironment=SLIPWAY_LAB_PASSING=1\n")

    def change(spec: dict[str, Any]) -> None:
        spec.pop("files", None)
        if passing:
            spec["files"] = [dict(entry) for entry in PASSING]

    cluster.edit_spec(change)
    done = cluster.invoke("render")
    assert done.returncode == 0, done.stdout + done.stderr
    cluster.commit(f"the pair, files that will leave: {passing}")


def is_bare(cluster: LabCluster) -> bool:
    """Whether nothing of ours has ever been on the pair's hosts."""
    return all(
        cluster.try_sh(host, "test -e /var/lib/slipway").returncode != 0
        for host in (*cluster.control, *cluster.workers)
    )


def made_bare(hosts: Lab, cluster: LabCluster) -> None:
    """Give the pair's hosts pristine disks and let the cluster know their new keys."""
    if not is_bare(cluster):
        hosts.reset(*cluster.control, *cluster.workers)
        cluster.forget_kubeconfig()
    done = cluster.invoke("hosts.scan", "--yes")
    assert done.returncode == 0, done.stderr


def bring_up(hosts: Lab, cluster: LabCluster) -> None:
    """Apply what is rendered where that is not so already, and wait until all nodes are Ready."""
    plan = cluster.invoke("plan")
    assert plan.returncode in (0, 2), plan.stdout + plan.stderr
    if plan.returncode == 2:
        done = applied(hosts, cluster)
        assert done.returncode == 0, done.stdout + done.stderr
    until(lambda: cluster.all_ready((*cluster.control, *cluster.workers)), 120)


@dataclass
class WatchedInstall:
    """When the first apply of the pair began (seconds since 1970), what it said, what was seen meanwhile, and the
    secrets that nobody was to see.
    """

    began: float
    apply: Completed
    watch: InstallWatch
    needles: Needles

    def forget(self) -> None:
        """Drop what was seen."""
        self.watch.clear()


def install_watched(hosts: Lab, cluster: LabCluster) -> WatchedInstall:
    """Install the pair on bare hosts, and look at every process meanwhile."""
    made_bare(hosts, cluster)
    rendered_with_passing(cluster, passing=True)
    began = time.time()
    with InstallWatch(hosts, cluster) as watch:
        done = applied(hosts, cluster, watch.surroundings)
    assert done.returncode == 0, done.stdout + done.stderr
    return WatchedInstall(began, done, watch, needles_of(cluster, watch.tokens))
