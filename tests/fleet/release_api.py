"""An API in a thread of its own that has the pods of one release: lists, logs that go on, and programs in containers.

It speaks TLS and checks the token of the kubeconfig that it writes.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Request

from fleet.exec_stream import SUBPROTOCOL
from tests.fleet.api_stand_in import Pki

TOKEN = "token-of-the-platform"
NAMESPACE = "apps-dev"


def pod(
    name: str, *containers: dict[str, Any], phase: str = "Running", ready: bool = True, **status: Any
) -> dict[str, Any]:
    """A pod of the release hello; each container is what `container` returns."""
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/instance": "hello"}},
        "spec": {"nodeName": "w1", "containers": [{"name": one["name"]} for one in containers]},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": list(containers),
            **status,
        },
    }


def container(name: str = "app", restarts: int = 0, last: dict[str, Any] | None = None, **state: Any) -> dict[str, Any]:
    """One container's status; it runs unless another state is said."""
    return {
        "name": name,
        "state": state or {"running": {}},
        "restartCount": restarts,
        "containerID": f"containerd://{name}-{restarts}",
        **({"lastState": {"terminated": last}} if last else {}),
    }


class Socket:
    """The side of the server in a program's WebSocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.protocol = WSConnection(ConnectionType.SERVER)

    async def send(self, *events: Any) -> None:
        for event in events:
            self._writer.write(self.protocol.send(event))
        await self._writer.drain()

    async def say(self, stream: int, data: bytes) -> None:
        await self.send(BytesMessage(data=bytes([stream]) + data))

    async def end(self, code: int = 0, message: str = "") -> None:
        status: dict[str, Any] = {"status": "Success"}
        if code:
            causes = [{"reason": "ExitCode", "message": str(code)}]
            status = {"status": "Failure", "details": {"causes": causes}}
        if message:
            status = {"status": "Failure", "message": message}
        await self.say(3, json.dumps(status).encode())
        await self.send(CloseConnection(1000))

    async def event(self) -> Any:
        while True:
            for event in self.protocol.events():
                return event
            self.protocol.receive_data(await self._reader.read(65536) or None)


class ReleaseApi:
    """What the API has and has seen. `logs` are answers to one container, each used once but the last."""

    def __init__(self) -> None:
        self.pods: list[dict[str, Any]] = []
        self.later: list[list[dict[str, Any]]] = []
        """What the next lists of pods have; the last stays."""
        self.deployments: list[dict[str, Any]] = []
        self.logs: dict[tuple[str, str], list[bytes | int]] = {}
        self.forbidden: set[str] = set()
        self.away: list[int] = []
        """Statuses of the next lists of pods, in place of the real ones; 0 is a real one."""
        self.program: Callable[[Socket], Awaitable[None]] | None = None
        self.seen: list[str] = []
        self.accepts: list[str] = []

    def answer(self, target: str, headers: dict[str, str]) -> tuple[int, bytes]:
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, self._status("Unauthorized")
        last = path.rpartition("/")[2]
        if last in self.forbidden:
            said = f'{last} is forbidden: User "ann" cannot do that in the namespace "{NAMESPACE}"'
            return 403, self._status(said)
        if path in {"/api/v1", "/apis/apps/v1"}:
            kinds = {"pods": "Pod"} if path == "/api/v1" else {"deployments": "Deployment"}
            found = [{"name": name, "kind": kind, "namespaced": True} for name, kind in kinds.items()]
            return 200, json.dumps({"resources": found}).encode()
        if last == "pods" and self.away and (status := self.away.pop(0)):
            return status, self._status("etcdserver: leader changed")
        if last in {"pods", "deployments"}:
            assert path.startswith((f"/api/v1/namespaces/{NAMESPACE}/", f"/apis/apps/v1/namespaces/{NAMESPACE}/"))
            assert query["labelSelector"] == ["app.kubernetes.io/instance=hello"]
            if last == "pods" and self.later:
                self.pods = self.later.pop(0)
            return 200, json.dumps({"items": self.pods if last == "pods" else self.deployments}).encode()
        if last == "log":
            self.accepts.append(headers.get("accept", ""))
            key = (path.split("/")[-2], query["container"][0])
            texts = self.logs.get(key, [404])
            text = texts.pop(0) if len(texts) > 1 else texts[0]
            return (text, self._status("container is waiting to start")) if isinstance(text, int) else (200, text)
        return 404, self._status("not found")

    def _status(self, message: str) -> bytes:
        return json.dumps({"kind": "Status", "message": message}).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                first, *rest = head.decode().split("\r\n")
                target = first.split(" ")[1]
                fields = (line.partition(":") for line in rest if line)
                headers = {name.lower(): value.strip() for name, _, value in fields}
                self.seen.append(target)
                if "sec-websocket-key" in headers and "exec" not in self.forbidden:
                    await self._socket(reader, writer, head)
                    break
                status, body = self.answer(target, headers)
                follow = "follow=true" in target and status == 200
                length = "transfer-encoding: chunked" if follow else f"content-length: {len(body)}"
                writer.write(f"HTTP/1.1 {status} X\r\n{length}\r\n\r\n".encode())
                if not follow:
                    writer.write(body)
                    await writer.drain()
                    continue
                # In two pieces, the cut in the middle of a line; an end without its last chunk is a broken connection.
                for part in (body[: len(body) // 2], body[len(body) // 2 :]):
                    if part:
                        writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.02)
                if not body.endswith(b"cut\n"):
                    writer.write(b"0\r\n\r\n")
                break
        with suppress(ConnectionError):
            writer.close()

    async def _socket(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        one = Socket(reader, writer)
        one.protocol.receive_data(head)
        assert isinstance(await one.event(), Request) and self.program is not None
        await one.send(AcceptConnection(subprotocol=SUBPROTOCOL))
        await self.program(one)


@contextmanager
def release_api(folder: Path) -> Iterator[ReleaseApi]:
    """Run one, and write `kubeconfig` into the folder."""
    made, pki, loop = ReleaseApi(), Pki(), asyncio.new_event_loop()
    context = pki.server_context(folder)

    async def begin() -> asyncio.Server:
        return await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
    try:
        port = server.sockets[0].getsockname()[1]
        ca = base64.b64encode(pki.pem).decode()
        where = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": ca}
        (folder / "kubeconfig").write_text(
            yaml.safe_dump(
                {
                    "current-context": "x",
                    "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                    "clusters": [{"name": "x", "cluster": where}],
                    "users": [{"name": "x", "user": {"token": TOKEN}}],
                }
            )
        )
        yield made
    finally:

        async def end() -> None:
            server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
