"""What a client sees that writes all the time while the cluster is changed beneath it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from lab import network, remote
from tests.lab.cluster_under_test import REPOSITORY, LabCluster
from tests.lab.writer import NAMESPACE


@dataclass
class Seen:
    """What the client saw: acknowledged writes by number with the moment, and what went wrong otherwise."""

    acknowledged: dict[int, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    last_sent: float = 0.0

    @property
    def longest_gap(self) -> float:
        """The longest time without an acknowledgement, in seconds; one that lasts to the end counts as far as that."""
        moments = [0.0, *sorted(self.acknowledged.values())]
        moments.append(max(self.last_sent, moments[-1]))
        return max(later - earlier for earlier, later in pairwise(moments))

    @property
    def words(self) -> str:
        """What is worth printing."""
        return (
            f"{len(self.acknowledged)} writes acknowledged, {len(self.faults)} not, "
            f"longest gap {self.longest_gap:.1f} s; first faults: {self.faults[:3]}"
        )


REPORTS: list[tuple[str, Seen]] = []
"""What clients of this run saw, each with the test that it belongs to; the session prints it at its end."""


@contextmanager
def writing(lab: LabCluster, through: str, ways: Sequence[str] = ()) -> Iterator[Seen]:
    """Write ten objects a second through the balancer of a node while the block runs; then fill in what was seen.

    `ways` are "address:port" by which the client enters the API instead: the first that takes a connection.
    """
    kubeconfig = lab.admin_kubeconfig()
    lab.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait")
    lab.kubectl("create", "namespace", NAMESPACE)
    report = lab.workspace.parent / "writes.json"
    report.unlink(missing_ok=True)
    key, known = str(remote.key_path()), str(remote.known_hosts_path())
    words = [sys.executable, "-m", "tests.lab.writer", lab.addresses[through], key, known, str(kubeconfig)]
    client = subprocess.Popen(
        [*network.entering(network.NAMESPACE), *words, str(report), *ways],
        cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ}, text=True,
    )  # fmt: skip
    seen = Seen()
    assert client.stdin is not None and client.stdout is not None
    assert client.stdout.readline() == "writing\n", "the client cannot write even before anything is changed"
    try:
        yield seen
    finally:
        client.stdin.close()
        client.wait(60)
        client.stdout.close()
    _fill(seen, report)
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("::")[2].removesuffix(" (call)")
    REPORTS.append((test, seen))


def _fill(seen: Seen, report: Path) -> None:
    for one in json.loads(report.read_text()):
        seen.last_sent = max(seen.last_sent, one["sent"])
        if one["acknowledged"] is None:
            seen.faults.append(f"write {one['number']} at {one['sent']:.1f} s: {one['fault']}")
        else:
            seen.acknowledged[one["number"]] = one["acknowledged"]


def stored(lab: LabCluster) -> set[int]:
    """The numbers of the writes that the API has."""
    names = lab.kubectl("get", "configmaps", "-n", NAMESPACE, "-o", "name").split()
    return {int(name.rpartition("-")[2]) for name in names if "/write-" in name}
