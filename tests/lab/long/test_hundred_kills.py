"""A hundred kills (-9) of apply at random moments of installs, joins, changes and removals; nothing is lost by any.

SLIPWAY_LAB_SEED repeats a sequence; the seed of every run is printed with its result. docs/lab-long.md keeps the last.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.lab.cluster_under_test import LabCluster, until
from tests.lab.conftest import Session
from tests.lab.killing import apply
from tests.lab.pair_install import made_bare, rendered_with_passing
from tests.lab.snapshot import Snapshot, differing, snapshot

pytestmark = pytest.mark.lab_long

KILLS = int(os.environ.get("SLIPWAY_LAB_KILLS", "100"))
KILLS_OF_A_ROUND = 6
KINDS = ("flags", "removals", "join", "flags", "removals", "install")
"""What is to be done in one round after the other; an install takes longest and has the most phases to die in."""


@dataclass
class Tally:
    """What has happened so far. `lengths`: seconds of a run of each kind that nobody disturbed, the last one counts."""

    seed: int
    began: float
    kills: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    rounds: Counter[str] = field(default_factory=Counter)
    lengths: dict[str, float] = field(default_factory=dict)

    def result(self) -> str:
        """The block for docs/lab-long.md."""
        lines = [
            "| what | result |",
            "|---|---|",
            f"| date | {time.strftime('%Y-%m-%d', time.gmtime())} |",
            f"| seed | {self.seed} |",
            f"| kills | {self.kills.total()} in {self.rounds.total()} rounds |",
            f"| kills by what was being done | {_counted(self.kills)} |",
            f"| kills by phase | {_counted(self.phases)} |",
            f"| seconds | {time.monotonic() - self.began:.0f} |",
            "| outcome | every restart converged; the last state is that of an undisturbed run |",
        ]
        return "\n".join(lines)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def timed_apply(cluster: LabCluster) -> float:
    """Run apply to its end and return its seconds."""
    began = time.monotonic()
    done = apply(cluster)
    assert done.exit == 0, f"{done.errors}\n{done.told[-5:]}"
    return time.monotonic() - began


def converged(cluster: LabCluster) -> None:
    """Every node is Ready and nothing is left to do."""
    until(lambda: cluster.all_ready((*cluster.control, *cluster.workers)), 180)
    plan = cluster.invoke("plan", "--deep")
    assert plan.returncode == 0, plan.stdout + plan.stderr


def render_flags(cluster: LabCluster, number: int) -> None:
    """Render other flags of the kubelet and of the API server."""

    def change(spec: dict[str, Any]) -> None:
        spec["components"]["kubelet"] = {"flags": {"v": 2 + number % 3}}
        spec["components"]["kube-apiserver"] = {"flags": {"max-requests-inflight": 400 + number}}

    cluster.edit_spec(change)
    done = cluster.invoke("render")
    assert done.returncode == 0, done.stdout + done.stderr
    cluster.commit(f"flags of round {number}")


def render_without_flags(cluster: LabCluster) -> None:
    """Take the flags of all rounds back; what else is in the spec stays until the next render."""

    def change(spec: dict[str, Any]) -> None:
        spec["components"].pop("kubelet", None)
        spec["components"].pop("kube-apiserver", None)

    cluster.edit_spec(change)


def same_end(cluster: LabCluster, run: Callable[[str], float]) -> Snapshot:
    """Bring the pair to the state that is compared: the first spec, then the second one; `run` does each."""
    render_without_flags(cluster)
    for passing in (True, False):
        rendered_with_passing(cluster, passing=passing)
        run("removals")
    converged(cluster)
    return snapshot(cluster)


def begin_round(session: Session, cluster: LabCluster, kind: str, number: int) -> None:
    """Make that there is something of the kind to do."""
    match kind:
        case "flags":
            render_flags(cluster, number)
        case "removals":
            for passing in (True, False):
                rendered_with_passing(cluster, passing=passing)
                if passing:
                    timed_apply(cluster)
        case "join":
            session.hosts.reset(*cluster.workers)
            done = cluster.invoke("hosts.scan", "--yes")
            assert done.returncode == 0, done.stderr
        case "install":
            made_bare(session.hosts, cluster)


def test_a_hundred_kills_leave_no_trace(session: Session, pair: LabCluster) -> None:
    seed = int(os.environ.get("SLIPWAY_LAB_SEED") or random.SystemRandom().randrange(1 << 32))
    draw = random.Random(seed)
    tally = Tally(seed, time.monotonic())
    print(f"\nseed {seed}")
    made_bare(session.hosts, pair)
    rendered_with_passing(pair, passing=True)
    tally.lengths["install"] = timed_apply(pair)
    tally.lengths["join"] = tally.lengths["install"] / 2

    def undisturbed(kind: str) -> float:
        tally.lengths[kind] = timed_apply(pair)
        return tally.lengths[kind]

    expected = same_end(pair, undisturbed)
    tally.lengths["flags"] = tally.lengths["removals"] * 2

    def disturbed(kind: str) -> float:
        """Kill some runs at random moments, then let one come to its end; returns that one's seconds."""
        for _ in range(KILLS_OF_A_ROUND):
            if tally.kills.total() == KILLS:
                break
            after = draw.uniform(0.0, tally.lengths[kind])
            attempt = apply(pair, kill_after=after)
            assert attempt.killed or attempt.exit == 0, f"{attempt.errors}\n{attempt.told[-5:]}"
            if not attempt.killed:
                break
            tally.kills[kind] += 1
            tally.phases[attempt.last_phase] += 1
            print(f"kill {tally.kills.total()}: {kind}, {after:.1f} s, in {attempt.last_phase}", flush=True)
        tally.rounds[kind] += 1
        return timed_apply(pair)

    number = 0
    while tally.kills.total() < KILLS:
        kind = KINDS[number % len(KINDS)]
        number += 1
        begin_round(session, pair, kind, number)
        disturbed(kind)
        converged(pair)
    # The end is reached by the same two steps as before: what a host keeps of the generation before is compared too.
    left = differing(expected, same_end(pair, lambda _: timed_apply(pair)))
    assert not left, "\n".join(left)
    print(f"\n{tally.result()}")
