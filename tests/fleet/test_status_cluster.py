"""Facts of etcd and the API in, findings out: members, nodes, requests, and the tree that was applied last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.cluster_record import Recorded
from fleet.status.api_facts import ApiFacts, Health, Node, Request, readiness, request_from
from fleet.status.document import status_document
from fleet.status.etcd import EtcdFacts, Member
from fleet.status.findings import findings
from fleet.status.text import status_lines
from fleet.tree import RenderedTree
from tests.fleet.status_facts import (
    MEMBER,
    NOW,
    facts_of,
    member,
    texts,
    tree_of,
    whole,
)


@pytest.fixture
def tree(tmp_path: Path) -> RenderedTree:
    return tree_of(tmp_path)


def etcd_texts(tree: RenderedTree, *members: Member, **more: Any) -> list[str]:
    return texts(whole(tree, etcd=EtcdFacts("n1", members, **more)))


def test_members_that_are_missing_and_members_that_nobody_wrote_down(tree: RenderedTree) -> None:
    stranger = replace(member(9), address="10.9.9.9", name="ghost")
    assert etcd_texts(tree, member(1), member(2), stranger) == [
        ": etcd has a member ghost at 10.9.9.9 that the inventory does not know",
        "n3: etcd does not know it as a member; the inventory does",
    ]
    assert etcd_texts(tree, member(1), member(2), member(3, name="", status=None)) == [
        "n3: its member was added and never started"
    ]


def test_sick_members(tree: RenderedTree) -> None:
    slow = replace(MEMBER, raft_applied=100, raft_index=5000)
    assert etcd_texts(tree, member(1), member(2), member(3, status=None)) == [
        "n3: its etcd member does not answer; see `journalctl -u etcd.service` there"
    ]
    assert any(
        "far behind" in text
        for text in etcd_texts(tree, member(1, status=replace(MEMBER, raft_index=5000, raft_applied=5000)), member(2),
                               member(3, status=slow))
    )  # fmt: skip
    full = [text for text in etcd_texts(tree, member(1, alarms=("NOSPACE",)), member(2), member(3))]
    assert full == ["n1: its etcd member has raised NOSPACE: it takes no more writes; compact, defragment and disarm"]
    assert "fills most of" in etcd_texts(tree, member(1), member(2), member(3), quota=1_000_000)[0]
    assert etcd_texts(tree, *(member(n, status=replace(MEMBER, leader=str(n))) for n in (1, 2, 3))) == [
        ": the members of etcd do not agree on a leader; see their journals"
    ]
    assert etcd_texts(tree, trouble="n1: etcdctl cannot list the members (x)") == [
        ": etcd does not answer: n1: etcdctl cannot list the members (x)"
    ]


def test_health_with_the_failing_checks_by_name(tree: RenderedTree) -> None:
    body = (
        "[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/rbac/bootstrap-roles failed: x\nreadyz failed\n"
    )
    server = readiness("n2", 500, body)
    assert readiness("n2", 200, "ok").good
    status = whole(
        tree, health=(Health("n1", "kube-scheduler", "127.0.0.1:10259 does not answer"),),
        api=replace(whole(tree).api or ApiFacts(), servers=(server,)),
    )  # fmt: skip
    assert texts(status) == [
        "n1: kube-scheduler is not healthy: 127.0.0.1:10259 does not answer",
        "n2: kube-apiserver is not ready: it answers 500 on /readyz; failing checks: etcd,"
        " poststarthook/rbac/bootstrap-roles",
    ]


def test_nodes(tree: RenderedTree) -> None:
    nodes = (
        Node("n1", "KubeletNotReady: no network", "v1.20.2", False),
        Node("n2", "", "v1.19.0", True),
        Node("ghost-1", "", "v1.20.2", False),
    )
    status = whole(tree, api=ApiFacts((), nodes))
    assert texts(status, "finding") == [
        ": the API has nodes that the inventory does not know: ghost-1",
        "n1: its node is not Ready: KubeletNotReady: no network",
        "n3: the API has no node of it; run `invoke apply`",
    ]
    assert texts(status, "warning") == [
        "n2: its node is cordoned: no new pod comes to it", "n2: its kubelet is v1.19.0, the spec says v1.20.2",
    ]  # fmt: skip
    lines = status_lines(status, findings(status))
    assert "  nodes: 2 of 3 Ready, v1.19.0 on n2; v1.20.2 on ghost-1, n1; cordoned: n2" in lines


def test_requests(tree: RenderedTree) -> None:
    serving, user = "kubernetes.io/kubelet-serving", "system:node:n1"
    requests = (
        *(
            Request(f"csr-{n}", serving, user, "pending", "subject or names are not those", 60.0 * n)
            for n in range(1, 6)
        ),
        Request("csr-d", serving, user, "denied", "by hand: no", 10),
        Request("csr-w", "kubernetes.io/kube-apiserver-client-kubelet", "system:bootstrap:x", "pending", "", 9),
        Request("csr-o", "kubernetes.io/kube-apiserver-client-kubelet", "system:bootstrap:y", "pending", "", 900),
    )
    found = findings(whole(tree, api=replace(whole(tree).api or ApiFacts(), requests=requests)))
    assert [(one.severity, one.text.partition(" for a certificate")[0]) for one in found] == [
        ("finding", "1 request of system:node:n1"),
        ("finding", "1 request of system:bootstrap:y"),
        ("finding", "5 requests of system:node:n1"),
        ("warning", "1 request of system:bootstrap:x"),
    ]
    assert found[2].text.endswith(": subject or names are not those (csr-1, csr-2, csr-3 and 2 more)")


def test_requests_as_the_api_gives_them() -> None:
    def request(signer: str, conditions: list[dict[str, str]] | None = None, **status: Any) -> dict[str, Any]:
        return {
            "metadata": {"name": "csr-abc", "creationTimestamp": "2026-05-31T23:59:00Z"},
            "spec": {"signerName": signer, "username": "system:node:n1", "request": "x"},
            "status": {**({"conditions": conditions} if conditions else {}), **status},
        }

    approved, denied = {"type": "Approved"}, {"type": "Denied", "reason": "Mallory", "message": "not mine"}
    serving = "kubernetes.io/kubelet-serving"
    assert request_from(request(serving, [approved], certificate="x"), {}, NOW) is None
    granted = request_from(request(serving, [approved]), {}, NOW)
    assert granted is not None and (granted.state, granted.reason, granted.age) == ("pending", "", 60.0)
    refused = request_from(request(serving, [denied]), {}, NOW)
    assert refused is not None and (refused.state, refused.reason) == ("denied", "Mallory: not mine")
    forged = request_from(request(serving), {}, NOW)
    assert forged is not None and forged.reason == "system:node:n1 is no node of the rendered list"
    other = request_from(request("example.net/own"), {}, NOW)
    assert other is not None and "nobody here approves" in other.reason


def test_what_could_not_be_looked_at_is_no_finding(tree: RenderedTree) -> None:
    status = whole(tree, api=ApiFacts(unseen="no credentials: there is no identity"))
    assert texts(status) == []
    lines = status_lines(status, ())
    assert lines[0] == "demo: all as it should be (3 hosts, the API not looked at)"
    assert "  API: not looked at: no credentials: there is no identity" in lines


def test_a_cluster_that_has_not_formed(tree: RenderedTree) -> None:
    bare = {name: facts_of(tree, name, generation="", phases={}, units={}) for name in tree.hosts}
    assert texts(whole(tree, bare, formed=False, etcd=None, api=None, health=())) == [
        f"n{n}: nothing was ever applied here; run `invoke apply`" for n in (1, 2, 3)
    ]
    assert texts(whole(tree, formed=False, etcd=None, api=None, health=())) == [
        ": etcd has not formed; run `invoke apply`"
    ]


def recorded(tree: str) -> Recorded:
    return Recorded(tree, "b" * 40, True, "ann@desk", "2026-05-30T10:20:30+00:00", "r1", ("n3",))


def test_a_tree_that_is_not_this_one_is_a_finding_with_who_applied_it(tree: RenderedTree) -> None:
    api = replace(whole(tree).api or ApiFacts(), applied=recorded(tree.digest))
    status = whole(tree, api=api)
    assert texts(status) == []
    here = f"  applied: tree {tree.digest[:12]} (commit bbbbbbbbbbbb) by ann@desk, 2026-05-30 10:20, without n3"
    assert here in status_lines(status, ())
    other = whole(tree, api=replace(api, applied=recorded("c" * 64)))
    (found,) = findings(other)
    assert (found.kind, found.severity, found.detail) == ("tree", "finding", "2026-05-30 10:20")
    assert "ann@desk applied tree cccccccccccc (commit bbbbbbbbbbbb); run `invoke plan`" in found.text
    assert status_document(other, (found,))["api"]["applied"] == {
        "tree": "c" * 64, "commit": "b" * 40, "committed": True, "operator": "ann@desk",
        "time": "2026-05-30T10:20:30+00:00", "run": "r1", "leftOut": ["n3"],
    }  # fmt: skip
    none = whole(tree)
    assert texts(none) == [] and status_document(none, ())["api"]["applied"] is None
    assert "  applied: no apply through all phases is recorded" in status_lines(none, ())


def test_sets_that_nobody_has_seen_run_are_a_finding(tree: RenderedTree) -> None:
    status = whole(tree, api=replace(whole(tree).api or ApiFacts(), unfinished=("30-coredns",)))
    assert texts(status) == [": a run changed 30-coredns and did not see it run; run `invoke apply`"]
    assert status_document(status, ())["api"]["unfinishedSets"] == ["30-coredns"]
