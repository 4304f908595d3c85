"""apply is killed (-9) in every phase of a bring-up, before or after its first activation, and started again.

It must end in the state of a run that nobody disturbed: files, units, users, records, nodes, members, objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest
import yaml

from tests.lab.cluster_under_test import LabCluster, until
from tests.lab.conftest import Session
from tests.lab.killing import Moment, apply
from tests.lab.pair_install import WatchedInstall, made_bare, rendered_with_passing
from tests.lab.snapshot import Snapshot, differing, snapshot

pytestmark = pytest.mark.lab


def settled(cluster: LabCluster) -> Snapshot:
    """The state of the pair once its nodes are Ready and nothing is left to do."""
    until(lambda: cluster.all_ready((*cluster.control, *cluster.workers)), 120)
    plan = cluster.invoke("plan", "--deep")
    assert plan.returncode == 0, plan.stdout + plan.stderr
    return snapshot(cluster)


@pytest.fixture(scope="module")
def undisturbed(watched_install: WatchedInstall, pair: LabCluster) -> Snapshot:
    assert watched_install.apply.returncode == 0
    rendered_with_passing(pair, passing=False)
    done = pair.invoke("apply", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    return settled(pair)


def moments_of(phases: Iterable[Mapping[str, Any]], *, both: bool) -> list[Moment]:
    """Before and after the first activation of each phase, or by turns one of the two.

    A phase that only looks at hosts has no activation.
    """
    looks = {"gates": [{"kind": "preflight"}]}
    found = []
    for index, phase in enumerate(phases):
        activated = (False,) if looks.items() <= phase.items() else (False, True)
        chosen = activated if both else (activated[index % len(activated)],)
        found += [Moment(phase["name"], one) for one in chosen]
    return found


def kill_at_each(cluster: LabCluster, moments: Sequence[Moment]) -> None:
    """Start apply again and again, killed at the next moment each time; two may be hit late, in the same phase."""
    hit: set[Moment] = set()
    for moment in moments:
        if moment in hit:
            continue
        attempt = apply(cluster, kill_at=moment.is_now)
        assert attempt.killed, f"{moment}: never came, exit {attempt.exit}: {attempt.told[-3:]} {attempt.errors}"
        struck = moment.met_by(attempt)
        assert struck is not None, f"{moment}: the kill came too late: {attempt.after}"
        hit.add(struck)
        print(f"killed {struck}", flush=True)
    assert {one.phase for one in hit} == {one.phase for one in moments}
    late = {*moments} - hit
    assert len(late) <= 2, f"too many kills came late: {', '.join(map(str, late))}"


@pytest.mark.parametrize("both", [pytest.param(True, marks=pytest.mark.lab_long), False])
def test_a_run_that_is_killed_in_every_phase_ends_like_an_undisturbed_one(
    session: Session, pair: LabCluster, undisturbed: Snapshot, both: bool
) -> None:
    made_bare(session.hosts, pair)
    rendered_with_passing(pair, passing=True)
    phases = yaml.safe_load((pair.rendered / "phases.yaml").read_text())["phases"]
    moments = moments_of([{"name": "push"}, *phases], both=both)
    assert len(moments) == (2 * (len(phases) + 1) - 1 if both else len(phases) + 1)
    kill_at_each(pair, moments)
    last = apply(pair)
    assert last.exit == 0, last.errors
    rendered_with_passing(pair, passing=False)
    kill_at_each(pair, moments_of([{"name": "removals"}], both=True))
    last = apply(pair)
    assert last.exit == 0, last.errors
    session.hosts.import_images(*pair.control, *pair.workers)
    left = differing(undisturbed, settled(pair))
    assert not left, "\n".join(left)


@pytest.fixture(scope="module")
def whole(pair: LabCluster, undisturbed: Snapshot) -> Iterator[Snapshot]:
    """The state before anything is spoilt, which all that was spoilt must come back to."""
    before = snapshot(pair)
    yield before
    assert differing(before, snapshot(pair)) == []


@pytest.mark.parametrize(
    "spoil",
    [
        "echo x >>/etc/kubernetes/kubelet.yaml",
        "chmod 0644 /etc/kubernetes/pki/sa.key",
        "touch /etc/systemd/system/.kubelet.service.slipway",
        "systemctl disable kubelet.service",
        "mkdir /var/lib/slipway/lock",
        "useradd somebody",
    ],
)
def test_the_comparison_sees_what_is_not_as_it_should_be(pair: LabCluster, whole: Snapshot, spoil: str) -> None:
    host = pair.control[0]
    undo = {
        "echo": "sed -i '$d' /etc/kubernetes/kubelet.yaml",
        "chmod": "chmod 0440 /etc/kubernetes/pki/sa.key",
        "touch": "rm /etc/systemd/system/.kubelet.service.slipway",
        "systemctl": "systemctl enable kubelet.service",
        "mkdir": "rmdir /var/lib/slipway/lock",
        "useradd": "userdel somebody",
    }
    pair.sh(host, spoil)
    try:
        assert differing(whole, snapshot(pair)) != []
    finally:
        pair.sh(host, undo[spoil.split()[0]])
