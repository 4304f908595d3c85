"""A client that writes ten objects a second through a node's own balancer, and remembers which were acknowledged.

    python -m tests.lab.writer NODE-ADDRESS SSH-KEY KNOWN-HOSTS KUBECONFIG REPORT [ADDRESS:PORT …]

It is a program of its own since it runs in the lab's network. It enters the node by SSH and the API by 127.0.0.1:8443
there, as everything on the node does, or by the first of the given ways that takes a connection. Connections are kept
open and made anew when they break, as client-go does. It ends at the end of its standard input and writes what it saw
as JSON: per write its number, and when it was sent and acknowledged (seconds since the start), or what went wrong.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncssh
import yaml

from fleet.http11 import HttpConnection
from fleet.tls import Credential, client_context, open_tls

NAMESPACE = "writes"
WRITES_A_SECOND = 10
PATIENCE_SECONDS = 30
BALANCER = ("127.0.0.1", 8443)
WAY_SECONDS = 3
"""How long a way is waited for that is not the last."""


@dataclass
class Write:
    """One write; `acknowledged` is None where no answer came, then `fault` says what came instead."""

    number: int
    sent: float
    acknowledged: float | None = None
    fault: str = ""


class Writer:
    """The client. Idle connections are shared; a write that meets a broken one is not tried again."""

    def __init__(self, ssh: asyncssh.SSHClientConnection, kubeconfig: Path, ways: Sequence[tuple[str, int]]) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        user, cluster = config["users"][0]["user"], config["clusters"][0]["cluster"]
        self._tls = client_context(
            base64.b64decode(cluster["certificate-authority-data"]),
            Credential(base64.b64decode(user["client-certificate-data"]), base64.b64decode(user["client-key-data"])),
        )
        self._ssh = ssh
        self._ways = tuple(ways)
        self._idle: list[HttpConnection] = []
        self._began = time.monotonic()
        self.writes: list[Write] = []

    def now(self) -> float:
        return round(time.monotonic() - self._began, 3)

    async def write(self, number: int) -> None:
        one = Write(number, self.now())
        self.writes.append(one)
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"write-{number}"}}
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                status = await self._post(f"/api/v1/namespaces/{NAMESPACE}/configmaps", body)
        except (OSError, TimeoutError, asyncssh.Error) as error:
            one.fault = f"{type(error).__name__}: {error}"
            return
        if status == 201:
            one.acknowledged = self.now()
        else:
            one.fault = f"answered {status}"

    async def _entered(self) -> HttpConnection:
        for address, port in self._ways[:-1]:
            with contextlib.suppress(OSError, asyncssh.Error):
                async with asyncio.timeout(WAY_SECONDS):
                    return await self._by(address, port)
        return await self._by(*self._ways[-1])

    async def _by(self, address: str, port: int) -> HttpConnection:
        reader, writer = await self._ssh.open_connection(address, port)
        return HttpConnection(await open_tls(reader, writer, self._tls, address), address)

    async def _post(self, path: str, body: object) -> int:
        http = self._idle.pop() if self._idle else None
        if http is None:
            http = await self._entered()
        try:
            answer = await http.request("POST", path, {"content-type": "application/json"}, json.dumps(body).encode())
        except BaseException:
            http.close()
            raise
        if http.usable:
            self._idle.append(http)
        else:
            http.close()
        return answer.status


async def main(address: str, key: str, known_hosts: str, kubeconfig: str, report: str, *ways: str) -> None:
    found = [(host, int(port)) for host, _, port in (way.rpartition(":") for way in ways)] or [BALANCER]
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    over = asyncio.ensure_future(reader.read())
    async with asyncssh.connect(
        address, username="root", client_keys=[key], known_hosts=known_hosts, config=None
    ) as ssh:
        writer = Writer(ssh, Path(kubeconfig), found)
        await writer.write(0)
        print("writing", flush=True)
        running: set[asyncio.Task[None]] = set()
        for number in range(1, sys.maxsize):
            task = asyncio.ensure_future(writer.write(number))
            running.add(task)
            task.add_done_callback(running.discard)
            done, _ = await asyncio.wait({over}, timeout=1 / WRITES_A_SECOND)
            if done:
                break
        await asyncio.gather(*running)
    Path(report).write_text(json.dumps([asdict(one) for one in writer.writes]))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
