"""Renewal of leaves: what is chosen, what changes, and what a killed renewal leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.errors import PkiError, RefusedError, SealingError
from generator.pki.certificates import certificates
from generator.pki.checking import check_keys
from generator.pki.renew import Choice, RenewReport, leaves_to_renew, renew
from generator.pki.store import PkiStore
from generator.sealing import Identity, create_identity
from tests.pki.conftest import NOW, Workspace
from tests.pki.test_issue import Killed, kill_after, whole_pairs

SECOND = {
    "hosts": {"cp-2": {"pool": "control", "address": "10.0.0.2"}, "cp-3": {"pool": "control", "address": "10.0.0.3"}}
}


def chosen(*kinds: str, hosts: Collection[str] = (), within: int | None = None) -> Choice:
    return Choice(frozenset(kinds), frozenset(hosts), within)


def renewed(workspace: Workspace, choice: Choice, later: timedelta = timedelta(days=300)) -> RenewReport:
    return renew(
        workspace.cluster, workspace.dir, choice, clock=lambda: workspace.now + later, identity=workspace.identity
    )


def changed(workspace: Workspace, before: dict[str, bytes]) -> set[str]:
    after = workspace.files()
    assert after.keys() == before.keys()
    return {path for path, content in after.items() if content != before[path]}


def pair(name: str) -> set[str]:
    return {f"pki/{stored(name)}.crt", f"pki/{stored(name)}.key.age"}


def stored(name: str) -> str:
    return name if name.startswith("addons/") else f"hosts/{name}"


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (chosen("apiserver"), {f"cp-{n}/apiserver" for n in (1, 2, 3)}),
        (chosen("etcd/peer", "etcd/server", hosts=["cp-2"]), {"cp-2/etcd/peer", "cp-2/etcd/server"}),
        (chosen("scheduler", hosts=["cp-1"], within=65), {"cp-1/scheduler"}),
        (chosen("scheduler", hosts=["cp-1"], within=64), set()),
        (chosen("addons/metrics-server"), {"addons/metrics-server"}),
        (chosen("addons/metrics-server", hosts=["cp-1"]), set()),
    ],
)
def test_just_what_is_chosen_changes(workspace: Workspace, choice: Choice, names: set[str]) -> None:
    workspace.edit(SECOND)
    workspace.issue()
    before, store = workspace.files(), workspace.store
    ids = {stored(name): store.key_id(stored(name)) for name in names}
    report = renewed(workspace, choice)
    assert changed(workspace, before) == {path for name in names for path in pair(name)}
    assert {one.name for one in report.renewed} == set(ids)
    assert all(one.name == (f"hosts/{one.host}/{one.kind}" if one.host else one.kind) for one in report.renewed)
    for one in report.renewed:
        assert one.days_left == 64
        assert one.key_id == workspace.store.key_id(one.name) != ids[one.name]
        certificate = workspace.store.chain(one.name)[0]
        assert one.until == certificate.not_valid_after_utc == (NOW + timedelta(days=665)).replace(microsecond=0)
    check_keys(workspace.cluster, workspace.dir, workspace.identity())
    assert not workspace.issue().changed


def test_all_leaves_and_no_ca(workspace: Workspace) -> None:
    workspace.issue()
    before = workspace.files()
    report = renewed(workspace, chosen())
    leaves = {request.name for request in certificates(workspace.cluster) if not request.is_ca}
    assert {one.name for one in report.renewed} == leaves
    assert changed(workspace, before) == {path for name in leaves for path in pair(name.removeprefix("hosts/"))}
    assert workspace.asked == 1


def test_an_expired_leaf_is_renewed_and_a_missing_one_made(workspace: Workspace) -> None:
    workspace.issue()
    workspace.store.path("hosts/cp-1/scheduler").unlink()
    report = renewed(workspace, chosen(within=30), timedelta(days=400))
    assert {one.kind: one.days_left for one in report.renewed}["scheduler"] is None
    assert {one.days_left for one in report.renewed} == {None, -36}
    assert not leaves_to_renew(workspace.cluster, workspace.store, chosen(within=30), NOW + timedelta(days=401))


def test_nothing_to_renew_asks_for_no_identity(workspace: Workspace) -> None:
    workspace.issue()
    before = workspace.files()
    assert renewed(workspace, chosen(within=30), timedelta()).renewed == ()
    assert (workspace.asked, workspace.files()) == (0, before)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (chosen("ca"), "prod: ca is a certificate authority and is not renewed: hosts trust it"),
        (chosen("etcd/ca"), "etcd/ca is a certificate authority"),
        (chosen("sa"), "sa is a key without a certificate"),
        (chosen("apisrver"), "prod: it has no leaf apisrver; did you mean apiserver\\?"),
        (chosen(hosts=["cp-9"]), "there is no host cp-9; did you mean cp-1\\?"),
    ],
)
def test_what_cannot_be_renewed_is_refused_with_the_reason(workspace: Workspace, choice: Choice, words: str) -> None:
    workspace.issue()
    before = workspace.files()
    with pytest.raises(RefusedError, match=words):
        renewed(workspace, choice)
    assert workspace.files() == before


def test_a_ca_that_ends_first_is_named(workspace: Workspace) -> None:
    workspace.edit({"pki": {"validity": {"ca": "2y"}}})
    workspace.issue()
    report = renewed(workspace, chosen("apiserver"), timedelta(days=500))
    assert report.notes == (
        "the certificate authority ca ends on 2032-05-16, and with it what it signs: 229 days instead of 365",
    )


def test_an_ended_ca_and_a_stranger_change_nothing(workspace: Workspace) -> None:
    workspace.issue()
    before = workspace.files()
    with pytest.raises(PkiError, match="expired on"):
        renewed(workspace, chosen("etcd/peer"), timedelta(days=3651))
    workspace.identity_file.unlink()
    create_identity(workspace.identity_file)
    with pytest.raises(SealingError, match="is not among its recipients"):
        renewed(workspace, chosen("etcd/peer"))
    assert workspace.files() == before


@settings(max_examples=25)
@given(steps=st.integers(0, 30))
def test_a_killed_renewal_leaves_whole_pairs(tmp_path_factory: pytest.TempPathFactory, steps: int) -> None:
    workspace = Workspace(tmp_path_factory.mktemp("killed"))
    workspace.dir.mkdir(parents=True)
    (workspace.dir / "recipients.txt").write_text(create_identity(workspace.identity_file) + "\n")
    workspace.edit({})
    workspace.issue()
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
        kill_after(patch, steps)
        renewed(workspace, chosen())
    whole_pairs(workspace)
    workspace.issue(timedelta(days=300))
    check_keys(workspace.cluster, workspace.dir, workspace.identity())
    assert not list(workspace.dir.rglob(".*"))
    renewed(workspace, chosen())
    assert all(
        one.days_left == 364
        for one in leaves_to_renew(workspace.cluster, PkiStore(workspace.dir), chosen(), NOW + timedelta(days=300))
    )


def test_who_looks_needs_no_identity(workspace: Workspace) -> None:
    workspace.issue()

    def nobody() -> Identity:
        raise AssertionError("an identity was asked for")

    assert len(leaves_to_renew(workspace.cluster, workspace.store, chosen(), NOW)) == 11
    assert renew(workspace.cluster, workspace.dir, chosen(within=1), clock=lambda: NOW, identity=nobody).renewed == ()
