"""Services from hosts: the cluster IP from every node, and node ports of every node and of the next one in the ring.

Each connection is made by the host itself, through its SSH connection, so nothing but kube-proxy is needed there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from fleet.connection import Connection
from fleet.tree import Host
from fleet.verify.results import Checked, Finding, checked, counted
from fleet.verify.visits import Verification, ring
from fleet.verify.workload import PORT
from generator.errors import HostError

ANSWER_SECONDS = 5
PROGRAMMED_SECONDS = 30.0
"""How long kube-proxy may take to program a new Service; a busy iptables sync takes many seconds."""
MORE = 2
"""How often it is asked again after the first answer: with one of two pods out of reach, one time in two is luck."""


def cluster_ips(service: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cluster IPs of a Service."""
    spec = service["spec"]
    return tuple(str(address) for address in spec.get("clusterIPs") or (spec["clusterIP"],))


def node_port(service: Mapping[str, Any]) -> int:
    """Return the node port of a Service with one port."""
    return int(service["spec"]["ports"][0]["nodePort"])


async def check_service(run: Verification, service: Mapping[str, Any], pages: Collection[str]) -> Checked:
    """Ask each cluster IP from every node; `pages` are what its pods may answer."""
    addresses = cluster_ips(service)

    async def one(host: Host, connection: Connection) -> list[Finding | None]:
        async def asked(address: str) -> Finding | None:
            trouble = await no_page(connection, address, PORT, pages)
            what = f"the Service does not answer at {address}:{PORT} from here: {trouble}"
            todo = f"see `journalctl -u kube-proxy` on {host.name}, and its port 10256 for health"
            return Finding(host.name, what, todo) if trouble else None

        return list(await asyncio.gather(*map(asked, addresses)))

    answers = await run.visit_all(run.nodes, one)
    looked = f"{', '.join(addresses)} from {counted(len(answers), 'host')}"
    return checked(looked, [finding for findings in answers for finding in findings])


async def check_node_ports(run: Verification, service: Mapping[str, Any], pages: Collection[str]) -> Checked:
    """Ask the node port of each node from the node itself and from the one before it in the ring."""
    port = node_port(service)
    following = {here.name: there for here, there in ring(run.nodes)}

    async def one(host: Host, connection: Connection) -> list[Finding | None]:
        async def asked(target: Host) -> Finding | None:
            trouble = await no_page(connection, target.address, port, pages)
            whose = "its own node port" if target is host else f"the node port of {target.name}"
            what = f"{whose} ({target.address}:{port}) does not answer from here: {trouble}"
            todo = f"see `journalctl -u kube-proxy` on {target.name}, and firewalls in front of it"
            return Finding(host.name, what, todo) if trouble else None

        targets = (host, *([following[host.name]] if host.name in following else []))
        return list(await asyncio.gather(*map(asked, targets)))

    answers = await run.visit_all(run.nodes, one)
    looked = f"port {port}, each from itself and from the next, {counted(len(answers), 'host')}"
    return checked(looked, [finding for findings in answers for finding in findings])


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
