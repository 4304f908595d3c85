"""Gates over SSH, with hosts that answer from a table."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fleet.connection import Input, Result
from fleet.gates import GateContext, kind_of, shut_because, wait_open
from fleet.host_faults import preflight_faults, unit_fault
from fleet.question import state_from
from fleet.reporter import SilentReporter
from fleet.state import HostState, UnitFacts
from fleet.tls import ByteReader, ByteWriter
from fleet.tree import Phase, RenderedTree
from generator.errors import FleetError, GateError, HostError
from tests.fleet.small_tree import write_tree

ACCESS = {"etcdctl": "/usr/local/bin/etcdctl", "port": 2379, "cacert": "ca", "cert": "crt", "key": "key"}
PHASE = Phase("runtime", roles=frozenset({"etcd"}))
UP = "Id=idle.service\nLoadState=loaded\nActiveState=active\nSubState=running\nNRestarts={}\nType=simple\n"


class Told:
    """A host whose programs answer what the test says; `ports` are open."""

    def __init__(self, host: str, answers: Callable[[Sequence[str]], str], ports: Sequence[int] = ()) -> None:
        self.host = host
        self.answers = answers
        self.ports = ports

    async def run(self, argv: Sequence[str], stdin: Input = b"", *, timeout: float = 60) -> Result:
        return Result(0, self.answers(argv).encode(), b"")

    async def open_tcp(self, address: str, port: int) -> tuple[ByteReader, ByteWriter]:
        if port not in self.ports:
            raise ConnectionRefusedError("refused")
        reader, writer = asyncio.StreamReader(), Nowhere()
        return reader, writer

    async def close(self) -> None:
        return


class Nowhere:
    """A writer whose bytes nobody reads."""

    def write(self, data: bytes, /) -> None:
        return

    async def drain(self) -> None:
        return

    def close(self) -> None:
        return


@pytest.fixture
def tree(tmp_path: Path) -> RenderedTree:
    return write_tree(tmp_path, hosts={f"e{n}": {"pool": "workers", "address": f"10.0.0.{n}"} for n in (1, 2, 3)})


def context_of(
    tree: RenderedTree, told: Told, *, patient: bool = True, now: Callable[[], float] | None = None
) -> GateContext:
    async def nobody(_: str = "") -> Any:
        raise HostError("nobody is there; try again", "e9")

    context = GateContext(tree, PHASE, nobody, nobody, tree.hosts[told.host], told, patient=patient)
    if now is not None:
        context.now = now
    return context


def test_units_must_stay_up_for_some_seconds(tree: RenderedTree) -> None:
    clock = iter([0.0, 2.0, 4.0, 7.0, 10.0])
    restarts = iter([0, 0, 1, 1, 1])
    told = Told("e1", lambda argv: UP.format(next(restarts)))
    context = context_of(tree, told, now=lambda: next(clock))

    async def main() -> list[str]:
        return [await shut_because({"kind": "units"}, context) for _ in range(5)]

    first, second, third, fourth, fifth = asyncio.run(main())
    assert "watched for some seconds" in first and "watched" in second
    assert "does not stay up, restarted 1 times" in third, "a restart in between begins the watch anew"
    assert fourth == third, "what was seen to die is watched longer"
    assert fifth == ""


def test_units_asked_once_answer_at_once(tree: RenderedTree) -> None:
    context = context_of(tree, Told("e1", lambda argv: UP.format(0)), patient=False)
    assert asyncio.run(shut_because({"kind": "units"}, context)) == ""


@pytest.mark.parametrize(
    ("name", "facts", "good"),
    [
        ("a.service", UnitFacts("loaded", "active", "running"), True),
        ("a.service", UnitFacts("loaded", "active", "exited", type="oneshot"), True),
        ("a.service", UnitFacts("loaded", "active", "exited", type="simple"), False),
        ("a.service", UnitFacts("loaded", "inactive", "dead", type="oneshot"), True),
        ("a.service", UnitFacts("loaded", "inactive", "dead", type="simple"), False),
        ("a.service", UnitFacts("loaded", "activating", "auto-restart", restarts=4), False),
        ("a.service", UnitFacts("loaded", "failed", "failed"), False),
        ("a.service", UnitFacts("not-found", "inactive", "dead"), False),
        ("a.timer", UnitFacts("loaded", "active", "waiting"), True),
        ("a.path", UnitFacts("loaded", "active", "waiting"), True),
        ("a.path", UnitFacts("loaded", "failed", "failed"), False),
    ],
)
def test_what_counts_as_up(name: str, facts: UnitFacts, good: bool) -> None:
    assert (unit_fault(name, facts) == "") is good


def health(of: Mapping[str, bool]) -> Callable[[Sequence[str]], str]:
    def answer(argv: Sequence[str]) -> str:
        assert not any("PRIVATE" in word for word in argv)
        (endpoints,) = [word.partition("=")[2] for word in argv if word.startswith("--endpoints=")]
        return json.dumps(
            [
                {"endpoint": one, "health": of.get(one.partition("//")[2].rpartition(":")[0], False)}
                for one in endpoints.split(",")
            ]
        )

    return answer


@pytest.mark.parametrize(
    ("healthy", "opens"),
    [
        ({"10.0.0.2": True, "10.0.0.3": True}, True),
        ({"10.0.0.1": True, "10.0.0.2": True}, False),
        ({}, False),
    ],
)
def test_the_quorum_is_counted_without_the_host(tree: RenderedTree, healthy: dict[str, bool], opens: bool) -> None:
    reason = asyncio.run(shut_because({"kind": "etcd-quorum", **ACCESS}, context_of(tree, Told("e1", health(healthy)))))
    assert (reason == "") is opens
    if not opens:
        assert "2 are needed; sick: " in reason and "e3" in reason


def test_etcd_health_asks_the_own_member(tree: RenderedTree) -> None:
    entry = {"kind": "etcd-health", **ACCESS}
    assert asyncio.run(shut_because(entry, context_of(tree, Told("e1", health({"127.0.0.1": True}))))) == ""
    assert asyncio.run(shut_because(entry, context_of(tree, Told("e1", health({}))))) != ""
    assert asyncio.run(shut_because(entry, context_of(tree, Told("e1", lambda argv: "no json")))) != ""


def test_port(tree: RenderedTree) -> None:
    told = Told("e1", lambda argv: "", ports=[8443])
    entry = {"kind": "port", "address": "127.0.0.1", "port": 8443}
    assert asyncio.run(shut_because(entry, context_of(tree, told))) == ""
    assert "nobody listens on 127.0.0.1:1" in asyncio.run(shut_because({**entry, "port": 1}, context_of(tree, told)))


def test_a_gate_that_stays_shut_ends_with_the_journal(tree: RenderedTree) -> None:
    told = Told("e1", lambda argv: "it hurts\n\x1b[31mvery" if argv[0] == "journalctl" else "")
    with pytest.raises(GateError) as caught:
        asyncio.run(wait_open({"kind": "units", "timeout": 0}, context_of(tree, told), SilentReporter()))
    assert caught.value.unit == "idle.service" and caught.value.host == "e1"
    assert "it hurts" in str(caught.value) and "\x1b" not in str(caught.value)


def test_an_unknown_kind_of_gate_is_an_error() -> None:
    with pytest.raises(FleetError, match="'horoscope', which this Slipway does not know"):
        kind_of({"kind": "horoscope"})


FIT = {"arch": "x86_64", "os_id": "debian", "os_version": "12"}


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        ({}, ""),
        ({"os_version": "12.5"}, ""),
        ({"os_version": "11"}, "it runs debian-11, pool workers says debian-12"),
        ({"arch": "aarch64"}, "its processor is arm64"),
        ({"missing_programs": ("tar", "wget")}, "these programs are missing: tar"),
        ({"clock_ahead": -90.0}, "its clock is 90 s away"),
    ],
)
def test_preflight(tree: RenderedTree, facts: dict[str, Any], fault: str) -> None:
    found = preflight_faults(tree.hosts["e1"], HostState("e1", **{**FIT, **facts}), fetch="push")
    assert found == [] if not fault else fault in found[0]


def test_preflight_wants_one_of_two_programs_where_hosts_fetch(tree: RenderedTree) -> None:
    one, both = (HostState("e1", **FIT, missing_programs=names) for names in (("wget",), ("curl", "wget")))
    assert preflight_faults(tree.hosts["e1"], one, fetch="host") == []
    assert "curl or wget" in preflight_faults(tree.hosts["e1"], both, fetch="host")[0]


@pytest.mark.parametrize("line", [("surprise",), ("path", "/etc/x"), ("slipway", "2"), ("own", "k")])
def test_an_answer_that_is_not_understood_is_an_error(line: tuple[str, ...]) -> None:
    with pytest.raises(HostError, match="the answer is not understood"):
        state_from("e1", (("slipway", "1"), ("time", "1"), ("arch", "x86_64"), line))


CONFIRM = {"kind": "new-connection", "confirm": "confirm.service"}


def test_new_rules_are_confirmed_over_a_connection_that_was_made_anew(tree: RenderedTree) -> None:
    asked: list[tuple[str, tuple[str, ...]]] = []

    def told(name: str) -> Told:
        def answer(argv: Sequence[str]) -> str:
            asked.append((name, tuple(argv)))
            return ""

        made = Told("e1", answer)
        return made

    async def enter(name: str) -> Told:
        assert name == "e1"
        return told("new")

    context = context_of(tree, told("old"))
    context.enter = enter
    assert asyncio.run(shut_because(CONFIRM, context)) == ""
    assert asked == [("new", ("systemctl", "start", "confirm.service"))]


def test_who_is_shut_out_confirms_nothing_and_is_told_that_the_host_comes_back(tree: RenderedTree) -> None:
    async def enter(name: str) -> Told:
        raise HostError(f"{name}: ssh: 10.0.0.1:22 cannot be reached (timed out)", name)

    context = context_of(tree, Told("e1", lambda argv: pytest.fail("the old connection was used")))
    context.enter = enter
    reason = asyncio.run(shut_because(CONFIRM, context))
    assert "takes what is new back by itself" in reason and "cannot be reached" in reason
    context.enter = None
    assert "no new connection" in asyncio.run(shut_because(CONFIRM, context))


def test_how_things_stand_is_no_reason_for_a_new_connection(tree: RenderedTree) -> None:
    context = context_of(tree, Told("e1", lambda argv: pytest.fail("asked")), patient=False)
    assert asyncio.run(shut_because(CONFIRM, context)) == ""


def test_a_confirmation_that_fails_keeps_the_gate_shut(tree: RenderedTree) -> None:
    class Refusing(Told):
        async def run(self, argv: Sequence[str], stdin: Input = b"", *, timeout: float = 60) -> Result:
            return Result(1, b"", b"Job for confirm.service failed.\n")

    async def enter(name: str) -> Told:
        return Refusing("e1", lambda argv: "")

    context = context_of(tree, Told("e1", lambda argv: ""))
    context.enter = enter
    reason = asyncio.run(shut_because(CONFIRM, context))
    assert reason == "confirm.service does not start: Job for confirm.service failed."
