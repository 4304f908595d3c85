"""Programs in pods over a WebSocket: a real server on loopback, over TLS, that speaks what kubelets speak."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, RejectConnection, RejectData, Request
from wsproto.events import TextMessage as Text

from fleet import exec_stream
from fleet.channel import Channel
from fleet.connection import Result
from fleet.endpoints import Endpoint
from fleet.exec_stream import exec_in_pod
from generator.errors import ApiError
from tests.fleet.api_stand_in import Pki, plain_stream

SUCCESS = json.dumps({"kind": "Status", "status": "Success"}).encode()
FAILED = {"kind": "Status", "status": "Failure", "message": "command terminated with non-zero exit code",
          "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}}  # fmt: skip


class Server:
    """One WebSocket on the side of the server; `request` is what opened it, `heard` what came from the client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.protocol = WSConnection(ConnectionType.SERVER)
        self.request: Request
        self.heard: list[bytes] = []

    async def send(self, *events) -> None:
        for event in events:
            self._writer.write(self.protocol.send(event))
        await self._writer.drain()

    async def say(self, stream: int, data: bytes, **more: bool) -> None:
        await self.send(BytesMessage(data=bytes([stream]) + data, **more))

    async def accept(self) -> None:
        await self.send(AcceptConnection(subprotocol=exec_stream.SUBPROTOCOL))

    async def event(self):
        while True:
            for event in self.protocol.events():
                return event
            data = await self._reader.read(65536)
            self.protocol.receive_data(data or None)


Behaviour = Callable[[Server], Awaitable[None]]


@asynccontextmanager
async def serving(folder: Path, behaviour: Behaviour) -> AsyncIterator[tuple[Channel, list[Server]]]:
    pki, servers = Pki(), list[Server]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        one = Server(reader, writer)
        servers.append(one)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            event = await one.event()
            assert isinstance(event, Request)
            one.request = event
            await behaviour(one)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=pki.server_context(folder))
    port = server.sockets[0].getsockname()[1]
    from fleet.tls import client_context

    context = client_context(pki.pem, pki.client("slipway:test"))
    endpoint = Endpoint("cp1", "127.0.0.1", port, lambda: plain_stream(port))
    dead = Endpoint("cp0", "127.0.0.1", 1, lambda: plain_stream(1))
    channel = Channel("demo", [dead, endpoint], lambda: context, headers={"authorization": "Bearer t"})
    try:
        yield channel, servers
    finally:
        server.close()
        await asyncio.sleep(0)


def run(folder: Path, behaviour: Behaviour, *argv: str, seconds: float = 5, **more) -> tuple[Result | ApiError, Server]:
    async def main() -> tuple[Result | ApiError, Server]:
        async with serving(folder, behaviour) as (channel, servers):
            try:
                found = await exec_in_pod(channel, "test", "page-1", argv or ("true",), seconds=seconds, **more)
            except ApiError as error:
                return error, servers[0]
            return found, servers[0]

    return asyncio.run(main())


async def succeed(server: Server) -> None:
    await server.accept()
    await server.say(1, b"out\n")
    await server.say(2, b"err\n")
    await server.say(3, SUCCESS)
    await server.send(CloseConnection(1000))


def test_output_comes_back_and_the_request_is_what_the_api_server_expects(tmp_path: Path) -> None:
    found, server = run(tmp_path, succeed, "sh", "-c", "a b&c", container="page")
    assert found == Result(0, b"out\n", b"err\n")
    target = urlsplit(server.request.target)
    assert target.path == "/api/v1/namespaces/test/pods/page-1/exec"
    assert parse_qsl(target.query) == [
        ("command", "sh"), ("command", "-c"), ("command", "a b&c"), ("stdout", "true"), ("stderr", "true"),
        ("container", "page"),
    ]  # fmt: skip
    assert server.request.subprotocols == ["v4.channel.k8s.io"]
    assert (b"authorization", b"Bearer t") in list(server.request.extra_headers)


def test_an_exit_status_is_no_error(tmp_path: Path) -> None:
    async def fail(server: Server) -> None:
        await server.accept()
        await server.say(2, b"first\nno such thing\n")
        await server.say(3, json.dumps(FAILED).encode())
        await server.send(CloseConnection(1000))

    found, _ = run(tmp_path, fail)
    assert isinstance(found, Result)
    assert (found.exit, found.complaint) == (3, "no such thing")


def test_standard_input_arrives_on_its_stream(tmp_path: Path) -> None:
    async def echo(server: Server) -> None:
        await server.accept()
        event = await server.event()
        assert isinstance(event, BytesMessage) and event.data[0] == 0
        await server.say(1, bytes(event.data[1:]))
        await server.say(3, SUCCESS)
        await server.send(CloseConnection(1000))

    found, server = run(tmp_path, echo, "cat", stdin=b"whole\n")
    assert found == Result(0, b"whole\n", b"")
    assert ("stdin", "true") in parse_qsl(urlsplit(server.request.target).query)


def test_a_message_in_parts_pings_and_a_text_message_are_taken(tmp_path: Path) -> None:
    async def parts(server: Server) -> None:
        await server.accept()
        await server.send(BytesMessage(data=b"\x01one ", message_finished=False))
        await server.send(Ping(b"?"))
        await server.send(BytesMessage(data=b"two", message_finished=True))
        await server.send(Text(data="\x03" + SUCCESS.decode()))
        await server.send(CloseConnection(1000))

    found, _ = run(tmp_path, parts)
    assert found == Result(0, b"one two", b"")


def test_a_program_that_says_too_much_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_stream, "LONGEST", 60)

    async def much(server: Server) -> None:
        await server.accept()
        for _ in range(4):
            await server.say(1, b"1234567890" * 2)
        await server.say(3, SUCCESS)
        await server.send(CloseConnection(1000))

    found, _ = run(tmp_path, much)
    assert isinstance(found, Result) and found.stdout == b"1234567890" * 6


@pytest.mark.parametrize("body", [b'{"message": "pods \\"page-1\\" not found", "reason": "NotFound"}', b"plain words"])
def test_a_refusal_is_said_in_the_servers_words(tmp_path: Path, body: bytes) -> None:
    async def refuse(server: Server) -> None:
        await server.send(RejectConnection(404, [(b"content-length", str(len(body)).encode())], has_body=True))
        await server.send(RejectData(body))

    found, _ = run(tmp_path, refuse)
    assert isinstance(found, ApiError) and found.status == 404
    assert ('pods "page-1" not found' in str(found)) or ("plain words" in str(found))
    assert str(found).startswith("demo: kube-apiserver: exec in pod test/page-1: ")


def test_a_runtime_that_does_not_start_the_program_is_an_error(tmp_path: Path) -> None:
    async def broken(server: Server) -> None:
        await server.accept()
        status = {"status": "Failure", "message": "exec: no such file", "reason": "InternalError"}
        await server.say(3, json.dumps(status).encode())
        await server.send(CloseConnection(1000))

    found, _ = run(tmp_path, broken)
    assert isinstance(found, ApiError) and "exec: no such file; see the journals" in str(found)


def test_a_connection_that_ends_early_is_an_error(tmp_path: Path) -> None:
    async def hang_up(server: Server) -> None:
        await server.accept()
        await server.say(1, b"half")

    found, _ = run(tmp_path, hang_up)
    assert isinstance(found, ApiError) and "ended before the program did" in str(found)


def test_a_program_without_end_is_given_up(tmp_path: Path) -> None:
    async def wait(server: Server) -> None:
        await server.accept()
        await asyncio.sleep(5)

    found, _ = run(tmp_path, wait, seconds=0.3)
    assert isinstance(found, ApiError) and "no end within 0 s" in str(found)


def test_what_is_no_websocket_is_an_error(tmp_path: Path) -> None:
    async def noise(server: Server) -> None:
        server._writer.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
        await server._writer.drain()

    found, _ = run(tmp_path, noise)
    assert isinstance(found, ApiError) and "is no WebSocket" in str(found)
