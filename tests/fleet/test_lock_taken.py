"""A run whose lock another one takes: it does nothing more, wherever it stands at that moment."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fleet.host_gates as host_gates
from fleet.lock import Lock, holder_here
from fleet.runs import apply_run
from fleet.shared import Shared
from fleet.standing import utc_now
from generator.errors import LockError
from tests.fleet.test_apply_api import Nodes
from tests.fleet.test_runs import Place

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="the host scripts give files to their owners, which needs root"
)
CONF = "/etc/idle/idle.conf"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_gates, "STEADY_SECONDS", 0.0)
    monkeypatch.setattr("fleet.gates.POLL_SECONDS", 0.01)


async def take_from_others(place: Place) -> None:
    """Take the lock of the cluster as another operator does with --break-lock, and keep it."""

    async def connect(name: str) -> Any:
        return place.hosts[name]

    other = replace(holder_here("ann@desk", "invoke apply", utc_now(), "f" * 64), machine="elsewhere")
    lock = Lock("demo", list(place.names), connect, other, break_lock=True)
    await lock.__aenter__()
    if lock._renewer is not None:
        lock._renewer.cancel()


def test_one_that_is_taken_during_a_drain_stops_before_the_activation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = Nodes(tmp_path, monkeypatch)
    nodes.run(apply_run)
    for name in nodes.names:
        nodes.hosts[name].forget_log()
    nodes.contents[CONF] = "level: 2\n"
    nodes.items = [{**item, "drainKey": "runtime 2"} if item.get("drainKey") else item for item in nodes.items]

    async def drain(host: str) -> None:
        nodes.api.asked.append(f"drain {host}")
        await take_from_others(nodes)

    nodes.api.drain = drain  # type: ignore[method-assign]
    with pytest.raises(LockError, match="the lock was lost") as caught:
        nodes.run(apply_run)
    assert "stopped in phase nodes: n1" in str(caught.value)
    assert [one for one in nodes.api.asked if one.startswith("drain")] == ["drain n1"]
    for name in nodes.names:
        assert (nodes.hosts[name].root / CONF[1:]).read_text() == "level: 1\n" and nodes.hosts[name].log == []
        assert nodes.hosts[name].state("lock/holder").read_text().count("ann@desk") == 1, "the other's stays"


def test_one_that_is_taken_in_a_join_stops_before_the_drain_and_the_activation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = Nodes(tmp_path, monkeypatch)
    made = nodes.api.bootstrap_kubeconfig

    async def taken(*args: Any) -> bytes:
        await take_from_others(nodes)
        return await made(*args)

    nodes.api.bootstrap_kubeconfig = taken  # type: ignore[method-assign]
    with pytest.raises(LockError, match="the lock was lost") as caught:
        nodes.run(apply_run)
    assert "to go on with phase nodes: n1, n2" in str(caught.value), "nothing of that phase was begun"
    assert not (nodes.hosts["n1"].root / "etc/systemd/system/agent.service").exists()
    assert nodes.api.asked[-2:] == ["tokens deleted", "closed"]


def test_many_who_ask_at_once_share_answers_that_are_not_older_than_their_question() -> None:
    asked: list[int] = []

    async def main() -> None:
        free = asyncio.Event()

        async def ask() -> None:
            asked.append(len(asked))
            await free.wait()

        shared = Shared(ask)
        first = asyncio.create_task(shared())
        await asyncio.sleep(0)
        many = [asyncio.create_task(shared()) for _ in range(50)]
        await asyncio.sleep(0)
        free.set()
        await asyncio.gather(first, *many)
        assert len(asked) == 2, "who asked after the first question went out gets another"
        await shared()
        assert len(asked) == 3

        old = Shared(ask, fresh=60)
        await old()
        await asyncio.gather(*(old() for _ in range(50)))
        assert len(asked) == 4

    asyncio.run(main())


def test_what_is_refused_to_one_is_asked_anew_for_the_next() -> None:
    answers = iter([LockError("lost"), None])

    async def ask() -> None:
        error = next(answers)
        if error is not None:
            raise error

    async def main() -> None:
        shared = Shared(ask, fresh=60)
        with pytest.raises(LockError):
            await shared()
        await shared()

    asyncio.run(main())
