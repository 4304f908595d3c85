"""During and after a whole install no secret is found but where it must lie; and a planted one is found."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.lab.cluster_under_test import LabCluster
from tests.lab.conftest import Session
from tests.lab.pair_install import WatchedInstall
from tests.lab.secret_search import InstallWatch, in_files, in_journal, on_host

pytestmark = pytest.mark.lab


def test_there_is_something_to_look_for(watched_install: WatchedInstall) -> None:
    owners = set(watched_install.needles.values.values())
    assert {"pki/ca", "pki/sa", "pki/etcd/ca", "encryption/1", "bootstrap token", "identity", "SSH key"} <= {
        owner.removeprefix("secrets/") for owner in owners
    }
    assert any(owner.startswith("kubelet client of") for owner in owners)
    assert len(watched_install.watch.seen) > 100


def test_no_process_had_a_secret_on_its_command_line_or_in_its_environment(watched_install: WatchedInstall) -> None:
    assert watched_install.watch.findings(watched_install.needles) == []
    operator = [words for words in watched_install.watch.seen if b"invoke\0" in words and b"apply\0" in words]
    assert operator, "the operator's own run was not looked at"


def test_hosts_hold_secrets_only_where_they_must(
    session: Session, pair: LabCluster, watched_install: WatchedInstall
) -> None:
    for host in (*pair.control, *pair.workers):
        assert on_host(session.hosts, host, watched_install.needles) == []
        assert in_journal(pair, host, watched_install.needles) == []


def test_the_operator_s_machine_keeps_none(pair: LabCluster, watched_install: WatchedInstall) -> None:
    needles, watch = watched_install.needles, watched_install.watch
    said = watched_install.apply.stdout + watched_install.apply.stderr
    assert needles.within(said.encode()) == set()
    everywhere = [pair.workspace, watch.home, watch.temporary]
    assert list(in_files(everywhere, needles)) == []
    shared = [Path(place) for place in ("/tmp", "/var/tmp", "/dev/shm")]
    own = pair.workspace.parent
    found = [(path, owners) for path, owners in in_files(shared, needles, newer=watched_install.began)]
    assert [(path, owners) for path, owners in found if path != own / "identity"] == []


@pytest.mark.parametrize("place", ["/var/tmp/planted", "/run/planted", "/etc/kubernetes/pki/planted.key"])
def test_a_planted_file_is_found(
    session: Session, pair: LabCluster, watched_install: WatchedInstall, place: str
) -> None:
    host = pair.workers[0]
    # In a folder of keys it is the mode that gives it away.
    pair.sh(host, f"umask 022; echo {watched_install.needles.one_line()} >{place}")
    try:
        folder = os.path.dirname(place)
        found = on_host(session.hosts, host, watched_install.needles, [folder])
        assert len(found) == 1 and place in found[0]
    finally:
        pair.sh(host, f"rm {place}")
    assert on_host(session.hosts, host, watched_install.needles, [folder]) == []


def test_a_planted_line_of_a_journal_is_found(pair: LabCluster, watched_install: WatchedInstall) -> None:
    host = pair.workers[0]
    pair.sh(host, f"echo {watched_install.needles.one_line()} | systemd-cat; journalctl --sync")
    assert in_journal(pair, host, watched_install.needles) != []


@pytest.mark.parametrize("script", ["sh -c 'sleep 1; :' {line}", "env planted={line} sh -c 'sleep 1; :'"])
def test_a_planted_process_is_found(
    session: Session, pair: LabCluster, watched_install: WatchedInstall, script: str
) -> None:
    with InstallWatch(session.hosts, pair) as watch:
        pair.sh(pair.workers[0], script.format(line=watched_install.needles.one_line()))
        time.sleep(0.2)
    assert watch.findings(watched_install.needles) != []
