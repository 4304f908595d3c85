"""A run whose lock another one takes: it does nothing more, wherever it stands at that moment."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fleet import rotation
from fleet.holder import holder_here
from fleet.lock import Lock
from fleet.options import Options
from fleet.rewrite import Rewritten
from fleet.runs import apply_run, push_run
from fleet.shared import Shared
from fleet.standing import utc_now
from generator.errors import LockError, RefusedError
from tests.fleet.local_host import as_root
from tests.fleet.place import DIGEST, Place
from tests.fleet.test_apply_api import Nodes

pytestmark = [as_root, pytest.mark.usefixtures("quick_gates")]
CONF = "/etc/idle/idle.conf"


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


def test_what_is_refused_once_is_refused_to_all_in_the_same_words() -> None:
    asked: list[int] = []

    async def ask() -> None:
        asked.append(len(asked))
        raise LockError(f"lost {len(asked)}")

    async def main() -> None:
        shared = Shared(ask)
        answers = await asyncio.gather(*(shared() for _ in range(50)), return_exceptions=True)
        assert {str(answer) for answer in answers} == {"lost 1"} and len(asked) == 1

    asyncio.run(main())


def pushing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a place where another run takes the lock, and has staged its own, while n2 gets its binaries."""
    monkeypatch.setattr("fleet.pushing.PUSHES_AT_ONCE", 1)
    monkeypatch.setattr("fleet.runs.LOOK_SECONDS", 0.0)
    place = Place(tmp_path)
    whole = place.hosts["n2"].run

    async def run(argv: Any, *rest: Any, **more: Any) -> Any:
        done = await whole(argv, *rest, **more)
        if DIGEST in argv:
            await take_from_others(place)
            place.hosts["n2"].state("staged/of-that-run").mkdir(parents=True)
        return done

    place.hosts["n2"].run = run  # type: ignore[method-assign]
    return place


def test_a_push_that_an_apply_has_overtaken_leaves_alone_what_that_one_staged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = pushing(tmp_path, monkeypatch)
    with pytest.raises(RefusedError) as caught:
        place.run(push_run)
    refused, told = str(caught.value).splitlines()
    assert refused.startswith("demo: the lock is held by ann@desk since ")
    assert refused.endswith("what that run is about to activate; wait for it to end, then push again")
    assert told.startswith("demo: staged: n1; not staged: n2, n3; nothing has been activated")
    assert [path.name for path in place.hosts["n2"].state("staged").iterdir()] == ["of-that-run"]
    assert not (place.hosts["n3"].root / "opt/idle").exists(), "no more binaries are brought for nothing"


def test_an_apply_whose_lock_is_taken_while_it_pushes_stages_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = pushing(tmp_path, monkeypatch)
    with pytest.raises(LockError, match="the lock was lost"):
        place.run(apply_run)
    assert [path.name for path in place.hosts["n2"].state("staged").iterdir()] == ["of-that-run"]
    assert not place.hosts["n3"].state("staged").exists()


def test_a_rewrite_goes_by_the_options_of_the_lock_and_proves_the_hosts_under_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    proofs: list[bool] = []

    async def prove(*_: object) -> None:
        proofs.append("ann@desk" not in place.hosts["n1"].state("lock/holder").read_text())

    async def rewrite(*_: object, dry_run: bool) -> Rewritten:
        return Rewritten({"secrets": 1}, 0)

    async def api(*_: object) -> Any:
        return SimpleNamespace(api=None, close=nothing)

    async def nothing() -> None:
        return

    config = SimpleNamespace(provider="aescbc", resources=("secrets",))
    monkeypatch.setattr(rotation, "rendered_encryption", lambda _: config)
    monkeypatch.setattr(rotation, "_prove_encryption", prove)
    monkeypatch.setattr(rotation, "rewrite", rewrite)

    async def main() -> None:
        await take_from_others(place)
        keys = rotation.Keys("encryption/2", ("encryption/1", "encryption/2"))
        with pytest.raises(LockError, match=r"held by ann@desk .* take the lock with --break-lock"):
            await rotation.rewrite_run(place.fleet(), keys, api=api)
        assert proofs == [], "nothing is proved that the other run may still change"
        done = await rotation.rewrite_run(place.fleet(Options(break_lock=True)), keys, api=api)
        assert done.total == 1 and proofs == [True, True]

    asyncio.run(main())
