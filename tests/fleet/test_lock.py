"""The cluster's lock on a majority of hosts, with the real script below scratch folders."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.connection import Input, Result
from fleet.holder import Holder, holder_here, machine_id, process_id, process_lives
from fleet.host_scripts import run_script
from fleet.lock import Lock, holder_elsewhere
from fleet.standing import utc_now
from generator.errors import HostError, LockError
from tests.fleet.local_host import LocalHost, LocalHosts

NAMES = ("e1", "e2", "e3")


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.hosts = LocalHosts(folder)
        self.notes: list[str] = []

    def lock(self, holder: Holder, **more: Any) -> Lock:
        return Lock("demo", NAMES, self.connect, holder, note=self.notes.append, **more)

    async def connect(self, name: str) -> Any:
        return self.hosts[name]

    def age(self, seconds: int) -> None:
        for name in NAMES:
            path = self.hosts[name].state("lock/renewed")
            if path.exists():
                past = path.stat().st_mtime - seconds
                os.utime(path, (past, past))


HERE = holder_here("ann@desk", "invoke apply", utc_now(), "a" * 64)
ELSEWHERE = replace(HERE, operator="bob@train", machine="0123456789abcdef", process="1@1")


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def test_it_is_taken_renewed_and_given_back(cluster: Cluster) -> None:
    async def main() -> None:
        async with cluster.lock(HERE) as lock:
            assert all(cluster.hosts[name].state("lock/holder").exists() for name in NAMES)
            cluster.age(100)
            await lock.ensure()
            cluster.age(100)
            with pytest.raises(LockError, match="ann@desk since"):
                await cluster.lock(ELSEWHERE).__aenter__()
        assert not any(cluster.hosts[name].state("lock").exists() for name in NAMES)

    asyncio.run(main())


def test_a_majority_is_enough_and_a_minority_is_given_back(cluster: Cluster) -> None:
    async def main() -> None:
        cluster.hosts["e2"].reachable = False
        async with cluster.lock(HERE) as lock:
            await lock.ensure()
            cluster.hosts["e3"].reachable = False
            with pytest.raises(LockError, match="the lock was lost"):
                await lock.ensure()
        cluster.hosts["e3"].reachable = True
        cluster.hosts["e1"].reachable = False
        with pytest.raises(LockError, match="2 of 3 etcd hosts"):
            await cluster.lock(ELSEWHERE).__aenter__()
        assert not cluster.hosts["e2"].state("lock").exists(), "what a minority took is given back"

    asyncio.run(main())


def test_one_that_is_not_renewed_is_taken_over_after_two_minutes(cluster: Cluster) -> None:
    async def main() -> None:
        first = cluster.lock(ELSEWHERE)
        await first.__aenter__()
        cluster.age(119)
        with pytest.raises(LockError, match="bob@train"):
            await cluster.lock(HERE).__aenter__()
        cluster.age(10)
        async with cluster.lock(HERE):
            assert "not renewed for" in cluster.notes[0] and "bob@train" in cluster.notes[0]
            with pytest.raises(LockError, match="the lock was lost"):
                await first.ensure()
        await first.__aexit__()

    asyncio.run(main())


def test_one_of_a_process_that_is_gone_is_taken_over_at_once_on_the_same_machine(cluster: Cluster) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    gone = replace(HERE, process=process_id(dead.pid))
    assert process_lives(gone.process)
    dead.communicate(b"\n")
    assert not process_lives(gone.process) and process_lives(HERE.process)

    async def main() -> None:
        first = cluster.lock(gone)
        await first.__aenter__()
        async with cluster.lock(HERE):
            assert "its process on this machine is gone" in cluster.notes[0]
        await first.__aexit__()

    asyncio.run(main())


def test_break_lock_shows_whose_it_was(cluster: Cluster) -> None:
    async def main() -> None:
        first = cluster.lock(ELSEWHERE)
        await first.__aenter__()
        async with cluster.lock(HERE, break_lock=True):
            assert all("bob@train" in note and "--break-lock" in note for note in cluster.notes)
            assert len(cluster.notes) == 3
        await first.__aexit__()

    asyncio.run(main())


def test_a_lock_that_changed_hands_at_the_last_moment_is_given_back(cluster: Cluster) -> None:
    host = cluster.hosts["e1"]
    host.state("lock").mkdir(parents=True)
    host.state("lock/run").write_text("stale\n")
    # Another run ousts the stale one and takes the lock between the look and the rename.
    (host.fake / "bin/mv").write_text(
        '#!/bin/sh\nif [ ! -e "$FAKE/won" ]; then : >"$FAKE/won"; echo winner >"$2/run"; fi\nexec /bin/mv "$@"\n'
    )
    (host.fake / "bin/mv").chmod(0o755)
    lines = asyncio.run(run_script(host, "lock", ["oust", "stale"]))
    assert (host.fake / "won").exists() and lines[0][:2] == ("held", "winner")
    assert [path.name for path in host.state("").glob("lock*")] == ["lock"]


def test_machines_are_told_apart_even_where_their_ids_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def machine(name: str, *, own: str = "", boot: str = "b00t\n", space: str = "pid:[1]") -> str:
        root = tmp_path / f"{name}{len(list(tmp_path.iterdir()))}"
        for path, text in (("etc/machine-id", own), ("proc/sys/kernel/random/boot_id", boot)):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        (root / "proc/self/ns").mkdir(parents=True)
        if space:
            (root / "proc/self/ns/pid").symlink_to(space)
        monkeypatch.setattr("socket.gethostname", lambda: name)
        return machine_id(root)

    assert machine("a") == machine("a") != "" and machine("a", own="1") == machine("a", own="1", boot="2")
    different = [machine("a"), machine("b"), machine("a", space="pid:[2]"), machine("a", boot="other"),
                 machine("a", own="1"), machine("a", own="2")]  # fmt: skip
    assert len(set(different)) == len(different)
    assert machine("a", boot="") == "" and machine("a", space="") == ""


def test_an_unknown_machine_is_not_taken_for_this_one(cluster: Cluster) -> None:
    nowhere = replace(HERE, machine="", process="1@1")

    async def main() -> None:
        first = cluster.lock(nowhere)
        await first.__aenter__()
        with pytest.raises(LockError):
            await cluster.lock(replace(HERE, machine="")).__aenter__()
        await first.__aexit__()

    asyncio.run(main())


def test_a_lock_without_a_name_is_ousted_like_any_other(cluster: Cluster) -> None:
    for name in NAMES:
        cluster.hosts[name].state("lock").mkdir(parents=True)

    async def main() -> None:
        with pytest.raises(LockError, match="somebody who left no name"):
            await cluster.lock(HERE).__aenter__()
        async with cluster.lock(HERE, break_lock=True) as lock:
            await lock.ensure()
            assert all(cluster.hosts[name].state("lock/run").read_text() == f"{lock.run}\n" for name in NAMES)

    asyncio.run(main())


def test_who_holds_it_is_told_with_hosts_and_age_and_a_wait_ends_when_it_is_free(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.lock.LOOK_SECONDS", 0.05)
    told: list[str] = []

    async def main() -> None:
        first = cluster.lock(ELSEWHERE)
        await first.__aenter__()
        cluster.age(7)
        with pytest.raises(LockError) as caught:
            await cluster.lock(HERE).__aenter__()
        assert "held by bob@train since " in str(caught.value) and " on e1, e2, e3, renewed " in str(caught.value)
        assert "nothing was changed; wait for that run to end (--wait MINUTES does)" in str(caught.value)
        looked = await holder_elsewhere(NAMES, cluster.connect)
        assert looked.partition(", renewed")[0] == caught.value.holder.partition(", renewed")[0]
        second = cluster.lock(HERE, wait=60, waiting=told.append)
        waiting = asyncio.create_task(second.__aenter__())
        while not told:
            await asyncio.sleep(0.05)
        await first.__aexit__()
        async with asyncio.timeout(30):
            await waiting
        await second.ensure()
        await second.__aexit__()
        assert await holder_elsewhere(NAMES, cluster.connect) == ""

    asyncio.run(main())
    assert told[0].startswith("held by bob@train since ")


def test_a_wait_that_is_over_says_who_holds_it(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.lock.LOOK_SECONDS", 0.05)

    async def main() -> None:
        async with cluster.lock(ELSEWHERE):
            with pytest.raises(LockError, match="held by bob@train"):
                await cluster.lock(HERE, wait=0.5).__aenter__()

    asyncio.run(main())


def test_too_few_hosts_are_told_apart_from_another_run(cluster: Cluster) -> None:
    cluster.hosts["e1"].reachable = cluster.hosts["e2"].reachable = False
    with pytest.raises(LockError) as caught:
        asyncio.run(cluster.lock(HERE).__aenter__())
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("demo: the lock needs 2 of 3 etcd hosts, and only 1 can carry it; nothing was changed")
    assert [line.partition(":")[0] for line in lines[1:]] == ["demo/e1", "demo/e2"]
    assert not caught.value.holder


def test_a_host_that_cannot_write_carries_no_lock_and_looks_like_nobody_elses(cluster: Cluster) -> None:
    state = cluster.hosts["e1"].state("")
    state.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", state], check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        (state / "full").write_bytes(b"x" * 4096)

        async def main() -> None:
            with pytest.raises(HostError, match=r"the lock cannot be written in .* \(No space left on device\)"):
                await run_script(cluster.hosts["e1"], "lock", ["take", "one"], b"{}\n" * 9000)
            assert not (state / "lock").exists()
            async with cluster.lock(HERE) as lock:
                await lock.ensure()

        (state / "pending").mkdir(exist_ok=True)
        asyncio.run(main())
    finally:
        subprocess.run(["umount", state], check=True)


def test_hosts_that_are_silent_for_a_while_lose_nobody_the_lock(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.lock.RENEW_SECONDS", 0.05)

    async def main() -> None:
        async with cluster.lock(HERE) as lock:
            for name in NAMES:
                cluster.hosts[name].reachable = False
            await asyncio.sleep(0.5)
            for name in NAMES:
                cluster.hosts[name].reachable = True
            await lock.ensure()

    asyncio.run(main())


def answers_late(host: LocalHost, word: str, seconds: float, error: HostError | None = None) -> asyncio.Event:
    """Let a host carry out one word of the lock and answer late or never; the event is set when it was carried out."""
    whole, done = host.run, asyncio.Event()

    async def run(argv: Sequence[str], stdin: Input = b"", *, timeout: float = 60) -> Result:
        answer = await whole(argv, stdin, timeout=timeout)
        if word in argv:
            done.set()
            await asyncio.sleep(seconds)
            if error is not None:
                raise error
        return answer

    host.run = run  # type: ignore[method-assign]
    return done


def carrying(cluster: Cluster) -> list[str]:
    return [name for name in NAMES if cluster.hosts[name].state("lock").exists()]


@pytest.mark.parametrize("times", [1, 2])
def test_a_run_that_is_broken_off_while_it_takes_the_lock_gives_it_back(cluster: Cluster, times: int) -> None:
    async def main() -> None:
        late = answers_late(cluster.hosts["e2"], "take", 0.3)
        released = answers_late(cluster.hosts["e1"], "release", 0.3)
        taking = asyncio.create_task(cluster.lock(HERE).__aenter__())
        async with asyncio.timeout(10):
            await late.wait()
        assert carrying(cluster) == ["e1", "e2"]
        taking.cancel()
        if times > 1:
            async with asyncio.timeout(10):
                await released.wait()
            taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        assert carrying(cluster) == []

    asyncio.run(main())


def test_a_take_that_has_not_reached_its_end_is_waited_for_before_the_lock_is_given_back(cluster: Cluster) -> None:
    host = cluster.hosts["e1"]
    (host.fake / "bin/mkdir").write_text('#!/bin/sh\necho x >"$FAKE/began"\nsleep 0.5\nexec /bin/mkdir "$@"\n')
    (host.fake / "bin/mkdir").chmod(0o755)

    async def main() -> None:
        taking = asyncio.create_task(cluster.lock(HERE).__aenter__())
        while not (host.fake / "began").exists():
            await asyncio.sleep(0.01)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        await asyncio.sleep(1)
        assert carrying(cluster) == []

    asyncio.run(main())


def test_a_take_whose_answer_was_lost_is_given_back_too(cluster: Cluster) -> None:
    async def main() -> None:
        answers_late(cluster.hosts["e1"], "take", 0, HostError("demo/e1: ssh: the connection broke", "e1"))
        async with cluster.lock(HERE) as lock:
            assert carrying(cluster) == list(NAMES)
            await lock.ensure()
        assert carrying(cluster) == []
        cluster.hosts["e2"].reachable = cluster.hosts["e3"].reachable = False
        with pytest.raises(LockError, match="the connection broke"):
            await cluster.lock(HERE).__aenter__()
        assert carrying(cluster) == []

    asyncio.run(main())


def test_a_run_that_is_refused_leaves_the_others_lock_alone(cluster: Cluster) -> None:
    async def main() -> None:
        async with cluster.lock(ELSEWHERE) as other:
            waiting = asyncio.create_task(cluster.lock(HERE, wait=60).__aenter__())
            await asyncio.sleep(0.5)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await other.ensure()
            assert carrying(cluster) == list(NAMES)

    asyncio.run(main())
