"""Whom each host is to reach, and how an answer is told from none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from fleet.connection import Input, Result
from fleet.preflight import ways
from fleet.preflight.seen import Answer, Forwarding
from fleet.preflight.ways import calls, forwarding_of, served, try_ways
from fleet.tls import ByteReader, ByteWriter
from generator.errors import HostError, LostHostError
from tests.fleet.preflight_facts import tree
from tests.fleet.test_host_gates import Nowhere


class Caller:
    """A host whose connections end as the test says: an error to raise, "hang", or nothing for an open port."""

    host = "cp-1"
    where = "ha/cp-1"

    def __init__(self, ends: BaseException | str | None) -> None:
        self.ends = ends
        self.asked: list[tuple[str, int]] = []

    async def run(self, argv: Sequence[str], stdin: Input = b"", *, timeout: float = 60) -> Result:
        raise AssertionError("nothing is run to try a way")

    async def open_tcp(self, address: str, port: int) -> tuple[ByteReader, ByteWriter]:
        self.asked.append((address, port))
        if isinstance(self.ends, BaseException):
            raise self.ends
        if self.ends == "hang":
            await asyncio.sleep(3600)
        return asyncio.StreamReader(), Nowhere()

    async def close(self) -> None:
        return


def test_each_host_calls_those_that_its_roles_need() -> None:
    table = served(tree())
    wanted = {name: {(one.name, port) for one, port, _ in calls(tree(), table, host)}
              for name, host in tree().hosts.items()}  # fmt: skip
    assert {("cp-1", 6443), ("cp-2", 6443), ("cp-3", 6443)} <= wanted["worker-001"]
    assert not any(port in (2379, 2380, 10250) for _, port in wanted["worker-001"])
    assert {("cp-2", 2379), ("cp-2", 2380), ("cp-2", 6443), ("worker-002", 10250)} <= wanted["cp-1"]
    assert not any(target == "cp-1" for target, _ in wanted["cp-1"]), "nobody calls himself"
    assert not any(port in (10248, 10257, 22, 30000) for some in wanted.values() for _, port in some)


def test_of_many_workers_each_caller_asks_a_few_and_the_whole_control_plane() -> None:
    few = tree()
    model = few.hosts["worker-001"]
    many = {f"w{number:04}": replace(model, name=f"w{number:04}") for number in range(1000)}
    large = replace(
        few, hosts={**few.hosts, **many}, ports={**few.ports, **dict.fromkeys(many, few.ports["worker-001"])}
    )
    table = served(large)
    asked = {name: [one.name for one, port, _ in calls(large, table, large.hosts[name]) if port == 10250]
             for name in ("cp-1", "cp-2")}  # fmt: skip
    for name, targets in asked.items():
        workers = [one for one in targets if one.startswith("w")]
        assert len(workers) == len(set(workers)) == ways.SAMPLE and len(targets) == ways.SAMPLE + 2, name
    assert set(asked["cp-1"]) != set(asked["cp-2"])
    assert len(calls(large, table, large.hosts["w0500"])) == 3, "a worker asks the three API servers"


@pytest.mark.parametrize(
    ("ends", "answer"),
    [
        (None, "open"),
        (ConnectionRefusedError("10.0.0.2:2379: Connection refused"), "refused"),
        (ConnectionRefusedError("10.0.0.2:2379: "), "refused"),
        (ConnectionRefusedError("10.0.0.2:2379: Connection timed out"), "silent"),
        (ConnectionRefusedError("10.0.0.2:2379: No route to host"), "silent"),
        (ConnectionError("10.0.0.2:2379: no answer"), "silent"),
        ("hang", "silent"),
    ],
)
def test_a_refusal_is_told_from_silence(
    ends: BaseException | str | None, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "SECONDS", 0.05)
    target = tree().hosts["cp-2"]
    (way,) = asyncio.run(try_ways(Caller(ends), [(target, 2379, "etcd")]))
    assert (way.caller, way.target, way.port, way.answer) == ("cp-1", "cp-2", 2379, answer)


@pytest.mark.parametrize(
    ("ends", "how"),
    [
        (ConnectionRefusedError("127.0.0.1:1: Connection refused"), "direct"),
        (None, "relay"),
        (HostError("ha/cp-1: ssh: sshd forbids TCP forwarding, and neither …", "cp-1"), "none"),
    ],
)
def test_how_connections_leave_a_host(ends: BaseException | None, how: Forwarding) -> None:
    caller = Caller(ends)
    assert asyncio.run(forwarding_of(caller)) == how
    assert caller.asked == [("127.0.0.1", 1)]


def test_a_host_that_is_lost_is_no_host_without_forwarding() -> None:
    with pytest.raises(LostHostError):
        asyncio.run(forwarding_of(Caller(LostHostError("ha/cp-1: ssh: it broke", "cp-1", begun=False))))
