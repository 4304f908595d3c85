"""Services from hosts: the cluster IP from every node, and the node ports of nodes from every host.

Each connection is made by the host itself, through its SSH connection, so nothing but kube-proxy is needed there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from fleet.connection import Connection
from fleet.folding import folded
from fleet.tree import Host
from fleet.verify.results import Checked, Finding, checked, counted
from fleet.verify.visits import Verification, each
from fleet.verify.workload import PORT
from generator.errors import HostError

ANSWER_SECONDS = 5
PROGRAMMED_SECONDS = 30.0
"""How long kube-proxy may take to program a new Service; a busy iptables sync takes many seconds."""
MORE = 2
"""How often it is asked again after the first answer: with one of two pods out of reach, one time in two is luck."""
ALL_WAYS = 20
"""Up to so many nodes every host asks every node port."""
SOME_WAYS = 5
"""How many others a host asks in a larger cluster."""
WAYS_AT_ONCE = 5
"""How much a host asks at the same time: where it has to relay, sshd opens ten sessions on a connection by default."""

Target = tuple[str, int]
"""Address and port."""


def cluster_ips(service: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cluster IPs of a Service."""
    spec = service["spec"]
    return tuple(str(address) for address in spec.get("clusterIPs") or (spec["clusterIP"],))


def node_port(service: Mapping[str, Any]) -> int:
    """Return the node port of a Service with one port."""
    return int(service["spec"]["ports"][0]["nodePort"])


async def check_service(run: Verification, service: Mapping[str, Any], pages: Collection[str]) -> Checked:
    """Ask each cluster IP from every node; `pages` are what its pods may answer.

    A host that is no node has no kube-proxy, so cluster IPs lead nowhere from there.
    """
    addresses = cluster_ips(service)
    targets = {host.name: [(address, PORT) for address in addresses] for host in run.nodes}
    troubles = await _troubles(run, run.nodes, targets, pages)
    findings = [
        Finding(
            name,
            f"the Service does not answer at {address}:{port} from here: {trouble}",
            f"see `journalctl -u kube-proxy` on {name}, and its port 10256 for health",
        )
        for (name, (address, port)), trouble in troubles.items()
    ]
    return checked(f"{', '.join(addresses)} from {counted(len(run.visits.answered), 'host')}", findings)


async def check_node_ports(run: Verification, service: Mapping[str, Any], pages: Collection[str]) -> Checked:
    """Ask the node ports of nodes from every host, also from those that are no nodes: each of them in a small cluster.

    See `ways` for a large one.
    """
    port = node_port(service)
    asked = ways(run.hosts, run.nodes)
    targets = {name: [(host.address, port) for host in hosts] for name, hosts in asked.items()}
    troubles = await _troubles(run, run.hosts, targets, pages)
    count = sum(len(asked[name]) for name in run.visits.answered)
    looked = f"port {port}, {counted(count, 'way')} from {counted(len(run.visits.answered), 'host')}"
    names = {host.address: host.name for host in run.nodes}
    by_name = {(name, names[address]): words for (name, (address, _)), words in troubles.items()}
    return checked(looked, _node_port_findings(by_name, {host.name: f"{host.address}:{port}" for host in run.nodes}))


def ways(hosts: Sequence[Host], nodes: Sequence[Host]) -> dict[str, tuple[Host, ...]]:
    """Return which nodes each host asks for their port, by its name.

    Up to `ALL_WAYS` nodes it is all of them. With more, each host asks itself, where it is a node, and `SOME_WAYS`
    others that lie far apart in the list; the next one is always among them, so that every node is asked by another.
    """
    if len(nodes) <= ALL_WAYS:
        return {host.name: tuple(nodes) for host in hosts}
    places = {node.name: at for at, node in enumerate(nodes)}
    others = {host.name: at for at, host in enumerate(host for host in hosts if host.name not in places)}
    found: dict[str, tuple[Host, ...]] = {}
    for host in hosts:
        first = places[host.name] + 1 if host.name in places else others[host.name]
        far = tuple(nodes[(first + step * len(nodes) // SOME_WAYS) % len(nodes)] for step in range(SOME_WAYS))
        found[host.name] = (host, *far) if host.name in places else far
    return found


async def _troubles(
    run: Verification, hosts: Iterable[Host], targets: Mapping[str, Sequence[Target]], pages: Collection[str]
) -> dict[tuple[str, Target], str]:
    """Return why no page comes, by the host that asks and whom it asks; nothing of those that answer.

    All that a host asks shares one time limit, since one kube-proxy programs it all. What is found before a host is
    lost stays.
    """
    loop = asyncio.get_running_loop()
    found: dict[tuple[str, Target], str] = {}

    async def one(host: Host, connection: Connection) -> None:
        deadline = loop.time() + PROGRAMMED_SECONDS

        async def asked(target: Target) -> None:
            if host.name in run.unreachable:
                return
            seconds = max(deadline - loop.time(), ANSWER_SECONDS)
            try:
                trouble = await no_page(connection, *target, pages, seconds=seconds)
            except HostError as error:
                run.lose(host, error)
                return
            if trouble:
                found[host.name, target] = trouble

        await each(targets[host.name], WAYS_AT_ONCE, asked)

    await run.visit_all(hosts, one)
    return found


def _node_port_findings(troubles: Mapping[tuple[str, str], str], ports: Mapping[str, str]) -> list[Finding]:
    """Return a finding for each node that several hosts do not reach, and for each host that alone does not reach some.

    One node that is down would else be named by every host of the cluster. `troubles` are by host and node, `ports` the
    node port of each node.
    """
    by_node: dict[str, dict[str, str]] = {}
    by_host: dict[str, dict[str, str]] = {}
    for (host, node), words in troubles.items():
        by_node.setdefault(node, {})[host] = words
    found: list[Finding] = []
    for node, said in by_node.items():
        if len(said) > 1:
            cause = f"its node port ({ports[node]}) does not answer from {folded(said)}: {_words(said)}"
            todo = f"see `journalctl -u kube-proxy` on {node}, and firewalls in front of it"
            found.append(Finding(node, cause, todo))
            continue
        for host, words in said.items():
            by_host.setdefault(host, {})[node] = words
    for host, said in by_host.items():
        whose = "its own node port" if list(said) == [host] else f"the node port of {folded(said)}"
        where = f" ({ports[next(iter(said))]})" if len(said) == 1 else ""
        todo = f"see `journalctl -u kube-proxy` on {folded(said)}, and firewalls in front of it"
        found.append(Finding(host, f"{whose}{where} does not answer from here: {_words(said)}", todo))
    return found


def _words(troubles: Mapping[str, str]) -> str:
    """Return what was said, and what else was said where it was not always the same."""
    first, *more = sorted(set(troubles.values()))
    return f"{first} (also: {', '.join(more)})" if more else first


async def no_page(
    connection: Connection,
    address: str,
    port: int,
    pages: Collection[str],
    *,
    seconds: float = PROGRAMMED_SECONDS,
    pause: float = 1.0,
) -> str:
    """Return why no page comes from an address as a host sees it, "" where one comes each time it is asked."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        trouble = await _asked(connection, address, port, pages)
        if not trouble or loop.time() + pause >= deadline:
            break
        await asyncio.sleep(pause)
    if trouble:
        return f"{trouble}, for {seconds:.0f} s"
    for number in range(MORE):
        trouble = await _asked(connection, address, port, pages)
        if trouble:
            return f"{trouble}, after it had answered {counted(number + 1, 'time')}: not all of its pods can be reached"
    return ""


async def _asked(connection: Connection, address: str, port: int, pages: Collection[str]) -> str:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await connection.open_tcp(address, port)
            try:
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                await writer.drain()
                answer = b""
                while data := await reader.read(4096):
                    answer += data
                    if len(answer) > 65536:
                        break
            finally:
                writer.close()
    except TimeoutError:
        return f"no answer within {ANSWER_SECONDS} s"
    except HostError:
        raise
    except OSError as error:
        return str(error).partition(": ")[2].lower() or "the connection is refused"
    page = answer.rpartition(b"\r\n\r\n")[2].decode("utf-8", "replace").strip()
    return "" if page in pages else "something else than a test pod answers"
