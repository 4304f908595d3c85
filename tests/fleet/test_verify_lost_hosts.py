"""A host that drops out during a test is a finding of the check in which it did; nothing passes that was not seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from fleet.connection import Connection, Input, Result
from fleet.inventory import Host, Pool, Ssh
from fleet.kube import Api
from fleet.reporter import SilentReporter
from fleet.session import Session
from fleet.tree import RenderedTree
from fleet.verify import certificates, listeners, services
from fleet.verify.certificates import HostFiles
from fleet.verify.listeners import check_listeners
from fleet.verify.page import Listener, Page
from fleet.verify.results import Checked, Finding, checked
from fleet.verify.run import Design, VerifyOptions, _Run
from fleet.verify.services import ALL_WAYS, SOME_WAYS, check_node_ports, check_service, ways
from fleet.verify.visits import Verification
from generator.errors import HostError
from tests.fleet.test_host_gates import Nowhere

PAGE = b"HTTP/1.0 200 OK\r\n\r\nw1\n"
SERVICE = {"spec": {"clusterIP": "10.96.0.9", "ports": [{"port": 80, "nodePort": 30999}]}}


def host(name: str, address: str, *, node: bool = True) -> Host:
    roles = frozenset({"worker"} if node else {"etcd"})
    return Host(name, Pool(name, roles, (), "debian-12", "amd64", "1", {}, ()), address, name if node else "", "", {},
                Ssh(), ())  # fmt: skip


HOSTS = (host("e1", "10.0.0.9", node=False), host("w1", "10.0.0.1"), host("w2", "10.0.0.2"), host("w3", "10.0.0.3"))


class Network:
    """Hosts and who reaches whom: `down` ones cannot be entered, `broken` ones not be used, `cut` ways lead nowhere."""

    def __init__(self) -> None:
        self.broken: dict[str, str] = {}
        self.down: set[str] = set()
        self.cut: set[tuple[str, str]] = set()
        self.asked: list[tuple[str, str, int]] = []

    async def connect(self, one: Host) -> Connection:
        if one.name in self.down:
            raise HostError(f"demo/{one.name}: ssh: it cannot be reached; check it", one.name)
        return cast(Connection, Wire(one.name, self))

    def run(self, hosts: tuple[Host, ...] = HOSTS, page: Page | None = None) -> Verification:
        by_name = {one.name: one for one in hosts}
        tree = RenderedTree(Path(), "demo", {}, "push", by_name, {}, (), (), {}, "")
        return Verification(
            tree, page or cast(Page, None), Path(), hosts, True, Session(tree, self.connect), cast(Api, None),
            SilentReporter(), lambda: datetime.now(UTC),
        )  # fmt: skip


class Wire:
    def __init__(self, name: str, network: Network) -> None:
        self.host = name
        self.where = f"demo/{name}"
        self._network = network

    async def run(self, argv: Any, stdin: Input = b"", *, timeout: float = 60) -> Result:
        self._alive()
        return Result(0, b"", b"")

    async def open_tcp(self, address: str, port: int) -> Any:
        self._network.asked.append((self.host, address, port))
        self._alive()
        if (self.host, address) in self._network.cut:
            raise ConnectionRefusedError(f"{address}:{port}: Connection refused")
        reader = asyncio.StreamReader()
        reader.feed_data(PAGE)
        reader.feed_eof()
        return reader, Nowhere()

    async def close(self) -> None:
        return

    def _alive(self) -> None:
        if self.host in self._network.broken:
            raise HostError(f"demo/{self.host}: {self._network.broken[self.host]}", self.host)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    monkeypatch.setattr(services, "PROGRAMMED_SECONDS", 0.0)
    monkeypatch.setattr(services, "ANSWER_SECONDS", 1)
    return Network()


def settled(run: Verification, check: Callable[[Verification], Awaitable[Checked]]) -> Checked:
    async def main() -> Checked:
        return run.settled(await check(run))

    return asyncio.run(main())


def service(run: Verification) -> Awaitable[Checked]:
    return check_service(run, SERVICE, {"w1"})


def node_ports(run: Verification) -> Awaitable[Checked]:
    return check_node_ports(run, SERVICE, {"w1"})


RELAY = "ssh: sshd forbids TCP forwarding, and neither socat nor nc is there to relay; allow one of them"


def test_a_host_that_is_lost_in_a_check_is_a_finding_of_it(network: Network) -> None:
    network.broken = {"w2": RELAY, "w3": "ssh: the connection broke"}
    run = network.run()
    found = settled(run, service)
    assert found.looked_at == "10.96.0.9 from 1 host"
    assert found.findings == (
        Finding("w2", *RELAY.rsplit("; ", 1)),
        Finding("w3", "ssh: the connection broke", "look at the host, and run verify again"),
    )
    # The next check names them, but does not blame them a second time.
    found = settled(run, node_ports)
    assert found.findings == ()
    assert found.notes == ("not asked, because a check above has lost them: w2, w3",)
    assert settled(network.run(), service).findings, "each run begins anew"


def test_a_check_that_could_ask_nobody_fails(network: Network) -> None:
    network.broken = {one.name: RELAY for one in HOSTS}
    run = network.run()
    assert [one.subject for one in settled(run, service).findings] == ["w1", "w2", "w3"]
    (found,) = settled(run, service).findings
    assert found.subject == "" and "none of the 3 hosts" in found.cause


def test_a_check_that_has_nobody_to_ask_passes(network: Network) -> None:
    assert settled(network.run(HOSTS[:1]), service).findings == ()
    assert settled(network.run(), lambda run: _nothing()).findings == ()


def test_a_run_in_which_no_host_answers_passes_nothing(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "load_authorities", lambda *_: {})
    monkeypatch.setattr(certificates, "listed_nodes", lambda *_: {})
    network.down = {one.name for one in HOSTS}
    design = Design(("hosts", "certificates"), HOSTS, (), "", ())
    hosts, files = asyncio.run(_Run(network.run(), design, VerifyOptions()).run())
    assert [str(one) for one in hosts.checked.findings] == [
        f"{one.name}: ssh: it cannot be reached; check it" for one in HOSTS
    ]
    assert files.outcome == "failed"
    assert [one.cause for one in files.checked.findings] == [
        "none of the 4 hosts that it is to ask can be reached",
    ]


async def _nothing() -> Checked:
    return checked("nothing", [])


def test_what_other_ports_have_shown_stays_when_a_host_is_lost(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = tuple(Listener("etcd", frozenset({"worker"}), "", port, "kubelet") for port in (2379, 2380, 2381))
    page = Page("i", "cluster.local", (), (), 30, "/client", "/serving", ports, (), ())

    async def judged(run: Any, one: Host, connection: Any, listener: Listener, *more: Any) -> list[Finding]:
        if listener.port == 2380 and one.name == "w2":
            raise HostError("demo/w2: ssh: the connection broke (gone); run it again", "w2")
        return [Finding(one.name, f"port {listener.port} is ill", "mend it")]

    async def files(one: Host, *more: Any) -> HostFiles:
        return HostFiles(one.name, datetime.now(UTC) - datetime.now(UTC), {})

    monkeypatch.setattr(listeners, "_listener_findings", judged)
    monkeypatch.setattr(listeners, "read_files", files)
    monkeypatch.setattr(listeners, "load_authorities", lambda *_: {})
    monkeypatch.setattr(listeners, "listed_nodes", lambda *_: {})
    found = settled(network.run(HOSTS[1:3], page), check_listeners)
    assert found.looked_at == "4 ports on 2 hosts"
    assert [(one.subject, one.cause) for one in found.findings] == [
        ("w1", "port 2379 is ill"), ("w1", "port 2380 is ill"), ("w1", "port 2381 is ill"),
        ("w2", "port 2379 is ill"), ("w2", "ssh: the connection broke (gone)"),
    ]  # fmt: skip


def test_cluster_ips_are_asked_from_nodes_and_node_ports_from_every_host(network: Network) -> None:
    assert settled(network.run(), service).findings == ()
    assert {name for name, *_ in network.asked} == {"w1", "w2", "w3"}
    network.asked.clear()
    found = settled(network.run(), node_ports)
    assert found.looked_at == "port 30999, 12 ways from 4 hosts"
    assert set(network.asked) == {(one.name, f"10.0.0.{number}", 30999) for one in HOSTS for number in (1, 2, 3)}


def test_a_node_that_answers_nobody_is_one_finding(network: Network) -> None:
    network.cut = {(one.name, "10.0.0.2") for one in HOSTS}
    (found,) = settled(network.run(), node_ports).findings
    assert found.subject == "w2"
    assert "its node port (10.0.0.2:30999) does not answer from e1, w1…3: connection refused" in found.cause
    assert "kube-proxy` on w2" in found.todo


def test_a_host_that_reaches_nobody_is_one_finding(network: Network) -> None:
    network.cut = {("e1", one.address) for one in HOSTS}
    (found,) = settled(network.run(), node_ports).findings
    assert found.subject == "e1" and found.cause.startswith("the node port of w1…3 does not answer from here: ")
    network.cut = {("w1", "10.0.0.1")}
    (found,) = settled(network.run(), node_ports).findings
    assert found.subject == "w1" and found.cause.startswith("its own node port (10.0.0.1:30999) does not answer")


@pytest.mark.parametrize("count", [1, 2, ALL_WAYS, ALL_WAYS + 1, 26, 50, 997])
def test_every_host_asks_and_every_node_is_asked_by_another(count: int) -> None:
    nodes = [host(f"w{number}", f"10.1.{number // 200}.{number % 200}") for number in range(count)]
    others = [host(f"e{number}", f"10.2.0.{number}", node=False) for number in range(7)]
    found = ways([*others, *nodes], nodes)
    assert set(found) == {one.name for one in (*nodes, *others)}
    asked = [(name, node.name) for name, targets in found.items() for node in targets]
    assert len(asked) == len(set(asked))
    assert {(node.name, node.name) for node in nodes} <= set(asked)
    if count <= ALL_WAYS:
        assert len(asked) == (count + 7) * count
        return
    assert all(len(targets) == SOME_WAYS + (name[0] == "w") for name, targets in found.items())
    by_others = [node for name, node in asked if name != node and name[0] == "w"]
    assert {by_others.count(node.name) for node in nodes} == {SOME_WAYS}
