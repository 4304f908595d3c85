"""etcd's members from what etcdctl prints, as etcdctl 3.4.23 and 3.5.1 did, and 3.6 does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fleet.status.etcd import DEFAULT_QUOTA, EtcdFacts, members_from, quota_of

S1, S2 = 3309648753646481823, 10276657743932975437
HEADER = {"cluster_id": 864037305029727243, "member_id": S1, "raft_term": 2}
LISTED = {
    "header": HEADER,
    "members": [
        {"ID": S1, "name": "s1", "peerURLs": ["https://10.83.0.11:2380"], "clientURLs": ["https://10.83.0.11:2379"]},
        {
            "ID": S2,
            "name": "s2",
            "peerURLs": ["https://[2001:db8::2]:2380"],
            "clientURLs": ["https://[2001:db8::2]:2379"],
        },
    ],
}


def status(member: int, version: str, **more: Any) -> dict[str, Any]:
    return {
        "Endpoint": "https://10.83.0.11:2379",
        "Status": {
            "header": {**HEADER, "member_id": member, "revision": 2276},
            "version": version, "dbSize": 1413120, "leader": S1, "raftIndex": 2552, "raftTerm": 2,
            "raftAppliedIndex": 2552, "dbSizeInUse": 921600, **more,
        },
    }  # fmt: skip


def facts(statuses: list[dict[str, Any]], alarms: Any = None, listed: Any = LISTED) -> EtcdFacts:
    dumped = (json.dumps(one).encode() for one in (listed, statuses, alarms))
    return EtcdFacts("s1", members_from(*dumped))


@pytest.mark.parametrize(
    ("version", "alarms", "more"),
    [
        # 3.4 leaves the header of no alarms out.
        ("3.4.23", {}, {}),
        ("3.5.1", {"header": HEADER}, {}),
        ("3.6.4", {"header": HEADER}, {"storageVersion": "3.6.0", "dbSizeQuota": 2147483648, "downgradeInfo": {}}),
    ],
)
def test_members_of_every_minor(version: str, alarms: Any, more: dict[str, Any]) -> None:
    found = facts([status(S1, version, **more), status(S2, version, raftAppliedIndex=2500, **more)], alarms)
    assert [(one.name, one.address) for one in found.members] == [("s1", "10.83.0.11"), ("s2", "2001:db8::2")]
    assert found.leader is not None and found.leader.name == "s1"
    first, second = found.members
    assert first.status is not None and second.status is not None
    assert (first.status.version, first.status.db_size, first.status.db_in_use) == (version, 1413120, 921600)
    assert (found.lag(first), found.lag(second)) == (0, 52)
    assert first.alarms == () and not first.learner


def test_a_silent_member_and_a_cut_answer() -> None:
    found = facts([status(S1, "3.5.1")])
    assert found.members[1].status is None and found.leader is not None and found.lag(found.members[1]) == 0
    members = members_from(json.dumps(LISTED).encode(), b'[{"Endpoint"', b"")
    assert [one.status for one in members] == [None, None]
    for nothing in (b"", b"{}", b"[]", b"Error: context deadline exceeded"):
        with pytest.raises(ValueError):
            members_from(nothing, b"", b"")


def test_no_leader_and_two_leaders_are_none() -> None:
    # Protobuf leaves the leader out where there is none.
    lonely = status(S1, "3.5.1")
    del lonely["Status"]["leader"]
    assert facts([lonely]).leader is None
    assert facts([status(S1, "3.5.1"), status(S2, "3.5.1", leader=S2)]).leader is None


def test_alarms_errors_learners_and_the_unstarted() -> None:
    alarms = {
        "alarms": [{"memberID": S2, "alarm": 1}, {"memberID": S2, "alarm": "CORRUPT"}, {"memberID": S1, "alarm": 9}]
    }
    listed = {"members": [*LISTED["members"], {"ID": 7, "peerURLs": ["https://10.83.0.13:2380"], "isLearner": True}]}
    found = {
        one.address: one
        for one in facts([status(S1, "3.6.0", errors=["etcdserver: no leader"])], alarms, listed).members
    }
    assert found["2001:db8::2"].alarms == ("CORRUPT", "NOSPACE") and found["10.83.0.11"].alarms == ("alarm 9",)
    unstarted = found["10.83.0.13"]
    assert (unstarted.name, unstarted.id, unstarted.learner) == ("", "7", True)
    first = found["10.83.0.11"].status
    assert first is not None and first.errors == ("etcdserver: no leader",)


def test_ids_as_text_are_ids_too() -> None:
    listed = {"members": [{"ID": str(S1), "name": "s1", "peerURLs": ["https://10.83.0.11:2380"]}]}
    found = facts([status(S1, "3.6.0", leader=str(S1))], None, listed)
    assert found.leader is not None and found.members[0].status is not None


def test_the_quota_is_that_of_the_unit() -> None:
    assert quota_of(b"ExecStart=etcd \\\n  --quota-backend-bytes=8589934592 \\\n") == 8 * 1024**3
    assert quota_of(b"ExecStart=etcd") == quota_of(b"--quota-backend-bytes=0") == DEFAULT_QUOTA
