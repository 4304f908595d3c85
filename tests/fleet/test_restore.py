"""A restore over hosts without SSH, with the real scripts and etcd's own tools: what stops when, and being cut off."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.connection import Input, Result
from fleet.restore import restore_plan, restore_run
from fleet.restore_choice import Restore
from fleet.restore_members import members_of
from fleet.restore_text import restore_lines
from fleet.runs import apply_run, plan_run
from fleet.snapshot import Snapshot, read_snapshot
from generator.errors import HostError, RefusedError, SealingError, SlipwayError
from generator.sealing import Identity, create_identity, load_identity
from tests.fleet.local_host import LocalHost, as_root
from tests.fleet.place import HOSTS, Place
from tests.tools.real_etcd import Etcd, Member, make_pki, members_at, needed, running

pytestmark = [
    pytest.mark.tools,
    as_root,
]

DATA, WAL = "/var/lib/members", "/var/lib/members-log"
UNIT = """[Unit]
Description=etcd

[Service]
User=root
ExecStart=/usr/local/bin/etcd \\
  --data-dir=/var/lib/members{wal}
"""
HELD = "run/systemd/system/etcd.service.d/60-slipway-restore.conf"
KUBE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
# Health comes from whether the unit runs; snapshots are etcd's own.
ETCDCTL = """#!/bin/sh
case "$*" in *snapshot*) exec /usr/bin/etcdctl "$@" ;; esac
read -r state <"$FAKE/units/etcd.service"
[ "$state" = active ] && healthy=true || healthy=false
echo "[{{\\"endpoint\\": \\"https://127.0.0.1:2379\\", \\"health\\": $healthy}}]"
"""


class Api:
    """An API of which only the certificate is asked for."""

    def admin_context(self) -> None:
        return None

    async def close(self) -> None:
        return


class Cut(Exception):
    """The operator's machine has lost its power."""


class Cluster:
    """Three hosts with etcd's data and API servers that run, and a snapshot of another moment."""

    def __init__(self, folder: Path, snapshot: Path, members: Sequence[Member], *, wal: bool) -> None:
        self.place = Place(folder)
        self.snapshot = read_snapshot(snapshot, _nobody)
        self.members, self.wal = members, wal
        tool = folder / "tools" / "etcdctl"
        tool.parent.mkdir()
        tool.write_text(ETCDCTL.format())
        tool.chmod(0o755)
        access = {"etcdctl": str(tool), "port": 2379, "cacert": "ca", "cert": "crt", "key": "key", "timeout": 2}
        formation = {"unit": "etcd.service", "data": DATA, "mark": "/var/lib/slipway/etcd-formed"}
        self.phases: list[dict[str, Any]] = [
            {"name": "etcd", "roles": ["etcd"], "batch": "one", "formation": formation,
             "gates": [{"kind": "etcd-health", **access}]},
            {"name": "control", "roles": ["worker"], "batch": "one", "gates": [{"kind": "units", "timeout": 2}]},
        ]  # fmt: skip
        urls = ",".join(f"{name}={one.peer}" for name, one in zip(HOSTS, members, strict=True))
        contents = {"/etc/etcd/formation.env": f"ETCD_INITIAL_CLUSTER={urls}\nETCD_INITIAL_CLUSTER_TOKEN=demo\n"}
        extra = f" \\\n  --wal-dir={WAL}/wal" if wal else ""
        contents["/etc/systemd/system/etcd.service"] = UNIT.format(wal=extra)
        self.place.contents = contents
        plain = {"kind": "file", "mode": "0644", "owner": "root", "group": "root", "phase": "etcd"}
        self.place.items = [
            *({"path": path, **plain} for path in contents),
            {"name": "etcd.service", "kind": "unit", "phase": "etcd"},
            *({"name": f"{name}.service", "kind": "unit", "phase": "control"} for name in KUBE),
        ]
        for name in HOSTS:
            host = self.place.hosts[name]
            (host.root / DATA[1:] / "member").mkdir(parents=True)
            (host.root / DATA[1:] / "member" / "old").write_text("what was there")
            if wal:
                (host.root / WAL[1:] / "wal").mkdir(parents=True)
                (host.root / WAL[1:] / "wal" / "old").write_text("what was there")
            (host.root / "etc/systemd/system").mkdir(parents=True)
            (host.fake / "units").mkdir(exist_ok=True)
            for unit in ("etcd", *KUBE):
                (host.root / f"etc/systemd/system/{unit}.service").touch()
                (host.fake / f"units/{unit}.service").write_text("active\n")

    def run(self) -> dict[str, tuple[str, ...]]:
        async def agreed(_: Restore) -> bool:
            return True

        async def main(fleet: Any) -> Any:
            async def api(_: object) -> Any:
                return Api()

            return await restore_run(replace(fleet, open_api=api, identity=lambda: None), self.snapshot, agreed)

        found: dict[str, tuple[str, ...]] = self.place.run(main, phases=self.phases)
        return found

    def plan(self) -> list[str]:
        found = self.place.run(lambda fleet: restore_plan(fleet, self.snapshot), phases=self.phases)
        return restore_lines(found, "demo")

    def folder(self, name: str, path: str = DATA) -> Path:
        return self.place.hosts[name].root / path[1:]

    def require_restored(self) -> None:
        """Every host has the new data in its place, the old beside it, and everything runs."""
        for name in HOSTS:
            data = self.folder(name)
            assert (data / "member/snap/db").is_file() and not (data / "member/old").exists()
            (old,) = data.glob(".before-restore-*")
            assert (old / "member/old").read_text() == "what was there"
            assert not list(data.glob(".restore-*")), "nothing is left over"
            if self.wal:
                log = self.folder(name, WAL)
                assert list((log / "wal").glob("*.wal")) and not (log / "wal/old").exists()
                (old,) = log.glob(".before-restore-*")
                assert (old / "old").read_text() == "what was there"
            host = self.place.hosts[name]
            assert not host.state("restore").exists() and not (host.root / HELD).exists()
            for unit in ("etcd", *KUBE):
                assert (host.fake / f"units/{unit}.service").read_text() == "active\n"


def _nobody() -> Identity:
    raise AssertionError("nothing here is encrypted")


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[str, int, int]], Path, int]:
    """A snapshot, the keys in it, certificates, and the id of the cluster that it was made of."""
    needed("etcd", "etcdctl")
    folder = tmp_path_factory.mktemp("source")
    pki = make_pki(folder / "pki")
    with running(members_at(folder), pki) as etcd:
        for number in range(10):
            etcd.put(f"/registry/things/{number}", f"value {number}")
        etcd.put("/registry/things/3", "changed")
        etcd.ctl("snapshot", "save", str(folder / "etcd-demo-x.db"))
        return folder / "etcd-demo-x.db", etcd.keys(), pki, etcd.cluster_id()


@pytest.fixture
def cluster(tmp_path: Path, taken: Any, quick_gates: None, request: pytest.FixtureRequest) -> Cluster:
    return Cluster(tmp_path, taken[0], members_at(tmp_path, 3), wal=getattr(request, "param", False))


def test_three_members_come_back_with_the_same_keys_and_revisions(cluster: Cluster, taken: Any, tmp_path: Path) -> None:
    _, keys, pki, before = taken
    told = cluster.run()
    cluster.require_restored()
    assert {name: [Path(path).name for path in paths] for name, paths in told.items()} == {
        name: [next(cluster.folder(name).glob(".before-restore-*")).name] for name in HOSTS
    }
    members = [
        replace(one, name=name, data=cluster.folder(name)) for name, one in zip(HOSTS, cluster.members, strict=True)
    ]
    with running(members, pki, state="existing") as restored:
        assert [restored.keys(one.client) for one in members] == [keys] * 3
        assert restored.cluster_id() != before
        restored.put("/registry/new", "and on it goes")
        assert isinstance(restored, Etcd) and len(restored.keys(members[2].client)) == len(keys) + 1


@pytest.mark.parametrize("cluster", [False, True], indirect=True, ids=["log-in-data", "log-apart"])
def test_the_order_on_each_host(cluster: Cluster) -> None:
    cluster.run()
    cluster.require_restored()
    for name in HOSTS:
        log = [line for line in cluster.place.hosts[name].log if line != "daemon-reload"]
        services = [f"{one}.service" for one in KUBE]
        assert log[:2] == [f"stop {' '.join(services)}", "stop etcd.service"]
        starts = [line for line in log if line.startswith("start ")]
        assert starts == ["start etcd.service", f"start {services[0]}", f"start {' '.join(services)}"]


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(cluster: Cluster) -> None:
    lines = cluster.plan()
    assert f"sha256 {cluster.snapshot.digest}" in lines[0]
    assert any("n1, n2, n3: stop etcd.service" in line for line in lines)
    for name in HOSTS:
        assert not cluster.place.hosts[name].log and not cluster.place.hosts[name].state("restore").exists()


class Counting:
    """Cuts the run off before or after the restore script of some number, over all hosts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, *, after: bool) -> None:
        self.count, self.number, self.after, self.off = 0, number, after, False
        real = LocalHost.run

        async def run(host: LocalHost, argv: Sequence[str], stdin: Input = b"", *, timeout: float = 60) -> Result:
            words = list(argv)
            orders = {"receive", "prepare", "stop", "hold", "swap", "begun", "start", "proved", "finish"}
            mine = words[3:4] == ["slipway"] and len(words) > 6 and words[6] in orders
            self.count += mine
            if self.off or (mine and self.count == self.number and not self.after):
                self.off = True
                raise Cut
            done = await real(host, argv, stdin, timeout=timeout)
            if mine and self.count >= self.number and self.after:
                self.off = True
                raise Cut
            return done

        monkeypatch.setattr(LocalHost, "run", run)


@pytest.mark.parametrize("number", range(2, 34, 3))
@pytest.mark.parametrize("cluster", [True], indirect=True, ids=["log-apart"])
def test_cut_off_at_any_moment_it_is_run_again(cluster: Cluster, number: int) -> None:
    """Each of eleven steps goes to three hosts; the run ends before or after the second of them."""
    with pytest.MonkeyPatch.context() as patch:
        counting = Counting(patch, number, after=number % 2 == 0)
        with pytest.raises(BaseException) as seen:
            cluster.run()
        assert counting.off, seen.value
    for name in HOSTS:
        # The lock of a machine that is off runs out by itself; here nobody waits for that.
        shutil.rmtree(cluster.place.hosts[name].state("lock"), ignore_errors=True)
    cluster.run()
    cluster.require_restored()


@pytest.mark.parametrize("number", range(1, 5))
@pytest.mark.parametrize("cluster", [True], indirect=True, ids=["log-apart"])
def test_a_host_that_dies_between_two_renames_is_run_again(cluster: Cluster, number: int) -> None:
    host = cluster.place.hosts["n2"]
    counted = host.fake / "bin" / "mv"
    counted.write_text(
        f'#!/bin/sh\ncase "$*" in *restore-*) n=$(cat {host.fake}/n 2>/dev/null || echo 0); echo $((n + 1)) '
        f'>{host.fake}/n; [ "$n" -lt {number - 1} ] || exit 1 ;; esac\nexec /usr/bin/mv "$@"\n'
    )
    counted.chmod(0o755)
    with pytest.raises(HostError, match="cannot be renamed"):
        cluster.run()
    for name in HOSTS:
        one = cluster.place.hosts[name]
        assert (one.fake / "units/etcd.service").read_text() == "inactive\n", "nothing has started anywhere"
        assert (one.root / HELD).read_text() == "[Unit]\nAssertPathExists=!/var/lib/slipway/restore/step\n"
    data, log = cluster.folder("n2"), cluster.folder("n2", WAL)
    if number > 1:
        assert not (data / "member").exists() or not (log / "wal").exists(), "its unit could not start by itself"
    counted.unlink()
    cluster.run()
    cluster.require_restored()


@pytest.mark.parametrize("number", [5, 11, 14, 20])
def test_while_it_is_cut_off_nothing_is_applied(cluster: Cluster, number: int) -> None:
    """Cut off while members prepare, are held, swap and start: each of eleven steps goes to three hosts."""
    with pytest.MonkeyPatch.context() as patch:
        counting = Counting(patch, number, after=True)
        with pytest.raises(BaseException) as seen:
            cluster.run()
        assert counting.off, seen.value
    for name in HOSTS:
        shutil.rmtree(cluster.place.hosts[name].state("lock"), ignore_errors=True)
    before = {name: list(cluster.place.hosts[name].log) for name in HOSTS}
    told = (
        r"^demo: nothing was changed: a restore of etcd was cut off \(n\d (prepared|swapped|begun).*\); run "
        r"`invoke restore --cluster demo --snapshot FILE` again with the same snapshot: "
        rf"snapshotSHA256 in its .json begins with {cluster.snapshot.digest[:16]}$"
    )
    with pytest.raises(RefusedError, match=told):
        cluster.place.run(apply_run, phases=cluster.phases)
    assert {name: cluster.place.hosts[name].log for name in HOSTS} == before
    plan = cluster.place.run(lambda fleet: plan_run(fleet, objects=False), phases=cluster.phases)
    assert any(note.startswith("apply will refuse: a restore of etcd was cut off (n") for note in plan.notes)
    cluster.run()
    cluster.require_restored()
    plan = cluster.place.run(lambda fleet: plan_run(fleet, objects=False), phases=cluster.phases)
    assert not any("restore" in note for note in plan.notes), plan.notes


def test_one_that_is_proved_keeps_nobody_from_an_apply(cluster: Cluster) -> None:
    for name, step in (("n1", "begun"), ("n2", "proved")):
        state = cluster.place.hosts[name].state("restore")
        state.mkdir(parents=True)
        (state / "step").write_text(f"{cluster.snapshot.digest[:16]}-20260101T000000Z {step}\n")
    plan = cluster.place.run(lambda fleet: plan_run(fleet, objects=False), phases=cluster.phases)
    assert not any("restore" in note for note in plan.notes), plan.notes


def test_a_snapshot_that_no_member_can_restore_stops_nothing(cluster: Cluster) -> None:
    content = os.urandom(8192)
    content += hashlib.sha256(content).digest()
    cluster.snapshot = Snapshot("other.db", content)
    with pytest.raises(HostError, match="not a database of etcd"):
        cluster.run()
    assert not any(cluster.place.hosts[name].log for name in HOSTS)


def test_a_host_that_is_away_is_named_before_anything(cluster: Cluster) -> None:
    cluster.place.hosts["n3"].reachable = False
    with pytest.raises(SlipwayError, match="n3 does not answer, and a member that keeps its old data"):
        cluster.run()
    assert not any(cluster.place.hosts[name].log for name in HOSTS)


def test_another_snapshot_waits_for_the_end_of_the_first(cluster: Cluster) -> None:
    state = cluster.place.hosts["n1"].state("restore")
    state.mkdir(parents=True)
    (state / "step").write_text("0123456789abcdef-20260101T000000Z swapped\n")
    with pytest.raises(RefusedError, match="another snapshot has not come to its end"):
        cluster.run()


def test_a_member_that_lost_its_marks_after_the_beginning_is_not_restored_twice(cluster: Cluster) -> None:
    for name in ("n1", "n2"):
        state = cluster.place.hosts[name].state("restore")
        state.mkdir(parents=True)
        (state / "step").write_text(f"{cluster.snapshot.digest[:16]}-20260101T000000Z begun\n")
    with pytest.raises(RefusedError, match="n3 no longer knows"):
        cluster.run()


def test_what_the_tree_says_of_etcd(cluster: Cluster) -> None:
    found = members_of(cluster.place.tree(phases=cluster.phases))
    assert (found.unit, found.owner, found.data, found.wal) == ("etcd.service", "root", DATA, "-")
    assert found.urls == {name: one.peer for name, one in zip(HOSTS, cluster.members, strict=True)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data[:-100], "does not end with its hash"),
        (lambda data: data[:-600] + data[-88:], "changed or damaged|does not end"),
        (lambda data: b"x" + data[1:], "changed or damaged"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(taken: Any, tmp_path: Path, change: Any, reason: str) -> None:
    path = tmp_path / "snapshot.db"
    path.write_bytes(change(taken[0].read_bytes()))
    with pytest.raises(RefusedError, match=reason):
        read_snapshot(path, _nobody)


def test_the_description_beside_it_must_be_its_own(taken: Any, tmp_path: Path) -> None:
    path = tmp_path / "etcd-demo-x.db"
    path.write_bytes(taken[0].read_bytes())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    described = {"snapshotSHA256": digest, "cluster": "demo", "revision": 12, "time": "20260704T011000Z"}
    path.with_suffix(".json").write_text(json.dumps(described))
    assert (found := read_snapshot(path, _nobody)).revision == 12 and found.cluster == "demo"
    path.with_suffix(".json").write_text(json.dumps({**described, "snapshotSHA256": "0" * 64}))
    with pytest.raises(RefusedError, match="is not the one that"):
        read_snapshot(path, _nobody)


def test_one_that_age_has_encrypted_is_opened_in_memory(taken: Any, tmp_path: Path) -> None:
    needed("age")
    own, other = tmp_path / "own", tmp_path / "other"
    public = create_identity(own)
    create_identity(other)
    path = tmp_path / "etcd-demo-x.db.age"
    subprocess.run(["age", "-r", str(public), "-o", str(path), str(taken[0])], check=True)

    def identity(of: Path) -> Any:
        return lambda: load_identity({"SLIPWAY_IDENTITY": str(of)})

    assert read_snapshot(path, identity(own)).content == taken[0].read_bytes()
    with pytest.raises(SealingError, match="is not among its recipients"):
        read_snapshot(path, identity(other))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["etcd-demo-x.db.age", "other", "own"]
