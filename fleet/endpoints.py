"""The ways to an API server: through the SSH connection to a control-plane host, or straight to an address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from fleet.tls import ByteReader, ByteWriter

Stream = tuple[ByteReader, ByteWriter]
SILENT_SECONDS = 60
"""How long the host of an API server that is spoken to by plain TCP may be silent until it is given up."""


class TcpOpener(Protocol):
    """What is needed of a connection to a host: streams to addresses as the host sees them."""

    async def open_tcp(self, host: str, port: int) -> Stream:
        """Return a stream of bytes to an address; raises OSError or HostError."""
        ...


Connect = Callable[[str], Awaitable[TcpOpener]]
"""Returns the connection to a host by its name in the inventory; kept open by whoever made it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One API server: a name for messages, the name or address that its certificate must carry, and a way to it."""

    name: str
    server_name: str
    port: int
    dial: Callable[[], Awaitable[Stream]]

    @property
    def authority(self) -> str:
        """Server name and port as the field Host of a request has them."""
        name = f"[{self.server_name}]" if ":" in self.server_name else self.server_name
        return f"{name}:{self.port}"


def ssh_endpoint(connect: Connect, host: str, address: str, port: int) -> Endpoint:
    """Return the way to a control-plane host's own API server through the SSH connection to that host."""

    async def dial() -> Stream:
        connection = await connect(host)
        return await connection.open_tcp(address, port)

    return Endpoint(host, address, port, dial)


def direct_endpoint(address: str, port: int, server_name: str = "") -> Endpoint:
    """Return the way by plain TCP from this machine; `server_name` where the certificate carries another name."""

    async def dial() -> Stream:
        reader, writer = await asyncio.open_connection(address, port)
        _kept_alive(writer.get_extra_info("socket"))
        return reader, writer

    shown = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return Endpoint(shown, server_name or address, port, dial)


def _kept_alive(line: socket.socket) -> None:
    """Let a connection end whose other side is gone without a word, as one of a log or a terminal would never learn."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENT_SECONDS // 4)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, SILENT_SECONDS // 4)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    # What was sent and is not acknowledged counts too; without this it is sent again for a quarter of an hour.
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_SECONDS * 1000)


def control_plane_endpoints(connect: Connect, control_plane: Iterable[Mapping[str, Any]]) -> tuple[Endpoint, ...]:
    """Return the ways to all API servers, in order, from the list `controlPlane` of phases.yaml."""
    return tuple(
        ssh_endpoint(connect, str(one["host"]), str(one["address"]), int(one["port"])) for one in control_plane
    )
