"""Backups of etcd as hosts tell of them: when the last good one is too old, and why one failed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from fleet.status.backup import Backup, Failure, Good
from fleet.status.collect import Status
from fleet.status.document import status_document
from fleet.status.findings import findings
from fleet.status.host_facts import facts_from, inquiry
from fleet.tree import RenderedTree
from generator.errors import HostError
from tests.fleet.status_facts import (
    NOW,
    state_of,
    tree_of,
    whole,
)


@pytest.fixture
def tree(tmp_path: Path) -> RenderedTree:
    return tree_of(tmp_path)


SETTINGS = "state /var/lib/slipway/etcd-backup\nperiod 86400\n"


def backed_up(tree: RenderedTree, *backups: Backup | None) -> Status:
    """A cluster whose hosts make backups every day, each with what it knows of its own."""
    item = replace(
        next(item for item in tree.hosts["n1"].items if item.kind == "file"),
        path="/etc/etcd-backup/settings", content=SETTINGS.encode(),
    )  # fmt: skip
    hosts = {name: replace(host, items=(*host.items, item)) for name, host in tree.hosts.items()}
    seen = whole(tree)
    facts = {name: replace(one, backup=backup) for (name, one), backup in zip(seen.hosts.items(), backups, strict=True)}
    return replace(seen, tree=replace(tree, hosts=hosts), hosts=facts)


def good(hours: float) -> Good:
    return Good(NOW - timedelta(hours=hours), 812, 40960, "etcd-demo-x-812.db")


def told(status: Status) -> list[tuple[str, str, str]]:
    return [(one.severity, one.text, one.detail) for one in findings(status) if one.kind == "backup"]


def test_a_backup_is_judged_by_the_newest_of_all_hosts(tree: RenderedTree) -> None:
    assert told(backed_up(tree, Backup(good(400)), Backup(good(47)), Backup())) == []
    (one,) = told(backed_up(tree, Backup(good(400)), Backup(good(49)), Backup()))
    assert one == ("finding", "the last good snapshot of etcd is older than two schedules", "made 2 d ago")


def test_a_failed_backup_is_told_with_its_reason(tree: RenderedTree) -> None:
    failed = Backup(good(20), Failure(NOW - timedelta(hours=1), "the target is full"))
    assert told(backed_up(tree, failed, Backup(), Backup())) == [
        ("warning", "the last backup of etcd failed", "n1: the target is full")
    ]
    late = Backup(None, Failure(NOW - timedelta(hours=1), "no member of etcd is healthy"))
    (one,) = told(backed_up(tree, late, Backup(), Backup(good(60))))
    assert one[0] == "finding" and one[2] == "made 2 d ago; n1: no member of etcd is healthy"
    (never,) = told(backed_up(tree, late, Backup(), Backup()))
    assert never[:2] == ("finding", "there is no good snapshot of etcd yet")


def test_a_first_backup_that_is_still_to_come_is_a_warning(tree: RenderedTree) -> None:
    (one,) = told(backed_up(tree, Backup(), Backup(), Backup()))
    assert one[0] == "warning"
    assert told(whole(tree)) == [], "nobody asked for backups"


def test_the_document_has_the_last_good_backup(tree: RenderedTree) -> None:
    failed = Backup(good(20), Failure(NOW, "the target is full"))
    found = status_document(backed_up(tree, failed, Backup(good(2)), Backup()), ())["backup"]
    assert found["lastGood"] == {
        "time": "2026-05-31T22:00:00+00:00", "name": "etcd-demo-x-812.db", "revision": 812, "size": 40960,
        "ageSeconds": 7200,
    }  # fmt: skip
    assert found["failures"] == {"n1": {"time": "2026-06-01T00:00:00+00:00", "reason": "the target is full"}}
    assert status_document(whole(tree), ())["backup"] is None


def test_what_a_host_wrote_is_read(tree: RenderedTree) -> None:
    lines = (
        ("slipway", "1"), ("backup-good", "20260531T011000Z 812 4242 40960 etcd-demo-x-812.db.age"),
        ("backup-failure", "20260601T011000Z /srv cannot be written: is it mounted"),
    )  # fmt: skip
    status = backed_up(tree, Backup(), Backup(), Backup())
    found = facts_from(status.tree, state_of(tree, "n1"), lines).backup
    assert found is not None and found.good is not None and found.failure is not None
    assert (found.good.revision, found.good.size, found.good.name) == (812, 40960, "etcd-demo-x-812.db.age")
    assert found.failed and found.failure.reason == "/srv cannot be written: is it mounted"
    assert b"backup\t/var/lib/slipway/etcd-backup\n" in inquiry(status.tree, status.tree.hosts["n1"])
    with pytest.raises(HostError, match="not understood"):
        facts_from(status.tree, state_of(tree, "n1"), (("slipway", "1"), ("backup-good", "yesterday")))
