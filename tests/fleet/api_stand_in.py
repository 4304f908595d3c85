"""A stand-in for the API: a TLS server in this process that answers with what a test tells it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import h11

from fleet.tls import ByteReader, ByteWriter, Credential
from generator.pki.issuing import (
    Authority,
    authority,
    certificate_pem,
    issue_ca,
    issue_leaf,
    load_certificates,
    sign_client,
)
from generator.pki.keys import key_pem, new_key
from generator.pki.request import CERT_SIGN, DIGITAL_SIGNATURE, SERVER_AUTH, Request

ALGORITHM = "ecdsa-p256"


@dataclass
class Reply:
    """What the stand-in answers; `hang_up` closes instead, `close` closes after the answer, `cut` in its middle."""

    status: int = 200
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()
    hang_up: bool = False
    close: bool = False
    cut: bool = False
    chunked: bool = False


@dataclass
class Seen:
    """One request as the stand-in saw it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    client: str


@dataclass
class StandIn:
    """A running stand-in: where it listens, and what it has seen."""

    port: int
    connections: int = 0
    seen: list[Seen] = field(default_factory=list)


class Pki:
    """A CA for tests, with the leaves that they need."""

    def __init__(self) -> None:
        key = new_key(ALGORITHM)
        request = Request("ca", "ca", (("CN", "kubernetes"),), (), (), (CERT_SIGN,), 30, ALGORITHM, None, ())
        self.pem = certificate_pem(issue_ca(request, key, datetime.now(UTC))).encode()
        self._key = key
        self.authority: Authority = authority("ca", load_certificates(self.pem, "ca"), key, datetime.now(UTC))

    def client(self, name: str) -> Credential:
        """Return a client certificate."""
        return Credential(*sign_client(self.pem, key_pem(self._key), name, ["slipway:admins"], datetime.now(UTC)))

    def server_context(self, folder: Path, addresses: tuple[str, ...] = ("127.0.0.1",)) -> ssl.SSLContext:
        """Return the context of a server whose certificate is good for the addresses."""
        key = new_key(ALGORITHM)
        usages = (DIGITAL_SIGNATURE, SERVER_AUTH)
        request = Request("s", "ca", (("CN", "kube-apiserver"),), (), addresses, usages, 30, ALGORITHM, None, ())
        path = folder / "server.pem"
        certificate = issue_leaf(request, key, self.authority, datetime.now(UTC))
        path.write_bytes(certificate_pem(certificate).encode() + key_pem(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        context.load_verify_locations(cadata=self.pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        return context


Answerer = Callable[[Seen], Reply]


@asynccontextmanager
async def stand_in(context: ssl.SSLContext, answer: Answerer) -> AsyncIterator[StandIn]:
    """Run a stand-in on loopback; every request goes to `answer`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.connections += 1
        protocol = h11.Connection(h11.SERVER)
        subject = (writer.get_extra_info("peercert") or {}).get("subject", ())
        client = next((value for part in subject for name, value in part if name == "commonName"), "")
        try:
            while await _one(protocol, reader, writer, client, running, answer):
                protocol.start_next_cycle()
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    running = StandIn(server.sockets[0].getsockname()[1])
    try:
        yield running
    finally:
        server.close()
        await asyncio.sleep(0)


async def _one(
    protocol: h11.Connection,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    client: str,
    running: StandIn,
    answer: Answerer,
) -> bool:
    head: h11.Request | None = None
    body = b""
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(65536)
            if not data:
                return False
            protocol.receive_data(data)
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            break
    assert head is not None
    headers = {name.decode(): value.decode() for name, value in head.headers}
    seen = Seen(head.method.decode(), head.target.decode(), headers, body, client)
    running.seen.append(seen)
    reply = answer(seen)
    if reply.hang_up:
        return False
    length = () if reply.chunked else (("content-length", str(len(reply.body))),)
    told = protocol.send(h11.Response(status_code=reply.status, headers=[*length, *reply.headers])) or b""
    content = protocol.send(h11.Data(data=reply.body)) or b""
    if reply.cut:
        writer.write(told + content[:-1])
        await writer.drain()
        return False
    writer.write(told + content + (protocol.send(h11.EndOfMessage()) or b""))
    await writer.drain()
    return not reply.close


async def plain_stream(port: int) -> tuple[ByteReader, ByteWriter]:
    """Return a stream to a port of this machine."""
    return await asyncio.open_connection("127.0.0.1", port)
