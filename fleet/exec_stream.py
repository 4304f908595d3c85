"""A program in a pod, run through the API: a WebSocket in which each message carries the number of its stream.

The subprotocol is v4.channel.k8s.io (https://kubernetes.io/docs/reference/generated/kubernetes-api/ and
k8s.io/apimachinery/pkg/util/remotecommand), which every kubelet since 1.4 speaks: 0 is standard input, 1 standard
output, 2 standard error, and on 3 comes one Status object when the program has ended; 4 takes the size of a terminal.
Standard input cannot be closed in it, so a program must know by itself when it has read enough.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import quote, urlencode

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

from fleet.channel import Channel, OpenStream
from fleet.connection import Result, printable
from generator.errors import ApiError

SUBPROTOCOL = "v4.channel.k8s.io"
STDIN, STDOUT, STDERR, STATUS, RESIZE = range(5)
LONGEST = 1 << 20
"""How much output is kept of each stream, in bytes; a program that says more is cut off there."""
Say = Callable[[int, bytes], Awaitable[None]]
"""Sends a message on a stream to the program."""


async def exec_in_pod(
    channel: Channel,
    namespace: str,
    pod: str,
    argv: Sequence[str],
    *,
    container: str = "",
    stdin: bytes = b"",
    seconds: float | None = 30,
    output: Callable[[int, bytes], None] | None = None,
) -> Result:
    """Run a program in a container of a pod, feed it `stdin`, and return how it ended, whatever its exit status.

    With `output`, what it says goes there as it comes, by stream, and not into the result.

    Raises ApiError where the API server, the kubelet or the runtime does not run it (status as answered), where the
    connection breaks, or where it takes longer than `seconds`.
    """
    about = f"exec in pod {namespace}/{pod}"
    path = exec_path(namespace, pod, argv, container, "stdout", "stderr", *(["stdin"] if stdin else []))
    try:
        async with asyncio.timeout(seconds):
            stream = await channel.open_stream()
            try:
                where = f"{channel.cluster}: kube-apiserver: {about}"
                return await Exchange(stream, where, output=output).run(path, stdin)
            finally:
                stream.tls.close()
    except TimeoutError:
        raise ApiError(
            f"{channel.cluster}: kube-apiserver: {about}: no end within {seconds or 0:.0f} s; "
            "see the journals of the node's kubelet and containerd"
        ) from None


def exec_path(namespace: str, pod: str, argv: Sequence[str], container: str, *streams: str) -> str:
    """Return what is asked of the API to run a program in a pod; "tty" among the streams gives it a terminal."""
    words = [("command", word) for word in argv] + [(name, "true") for name in streams]
    words += [("container", container)] if container else []
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}/exec?{urlencode(words)}"


class Exchange:
    """One WebSocket from its opening to the Status that ends it.

    With `output`, what the program says goes there at once instead of into the result; `begun` is called when it is
    accepted, with what sends to it.
    """

    def __init__(
        self,
        stream: OpenStream,
        about: str,
        *,
        output: Callable[[int, bytes], None] | None = None,
        begun: Callable[[Say], None] | None = None,
    ) -> None:
        self._stream = stream
        self._about = about
        self._live = output
        self._begun = begun
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._output = {STDOUT: bytearray(), STDERR: bytearray(), STATUS: bytearray()}
        self._partial = bytearray()

    async def run(self, path: str, stdin: bytes = b"") -> Result:
        """Ask for the program and return how it ended; raises ApiError."""
        fields = [(name.encode(), value.encode()) for name, value in self._stream.headers.items()]
        request = Request(self._stream.host, path, subprotocols=[SUBPROTOCOL], extra_headers=fields)
        await self._send(self._protocol.send(request))
        refused, said = 0, bytearray()
        while True:
            try:
                for event in self._protocol.events():
                    if isinstance(event, AcceptConnection):
                        if stdin:
                            await self.say(STDIN, stdin)
                        if self._begun is not None:
                            self._begun(self.say)
                    elif isinstance(event, RejectConnection):
                        refused = event.status_code
                        if not event.has_body:
                            raise self._refusal(refused, b"")
                    elif isinstance(event, RejectData):
                        said += event.data
                        if event.body_finished:
                            raise self._refusal(refused, bytes(said))
                    elif isinstance(event, BytesMessage | TextMessage):
                        self._take(event)
                    elif isinstance(event, Ping):
                        await self._send(self._protocol.send(event.response()))
                    elif isinstance(event, CloseConnection):
                        return self._result()
                data = await self._stream.tls.read()
                # The end of the bytes is told to the protocol too; it may be the end of a refusal's body.
                self._protocol.receive_data(data or None)
                if not data and not refused:
                    return self._result()
                if not data:
                    raise self._refusal(refused, bytes(said))
            except RemoteProtocolError as error:
                what = printable(str(error))
                raise ApiError(f"{self._about}: the answer is no WebSocket ({what}); check who answers there") from None
            except OSError as error:
                raise ApiError(f"{self._about}: the connection broke ({error}); run again") from None

    async def say(self, stream: int, data: bytes) -> None:
        """Send a message to the program, on one of its streams."""
        await self._send(self._protocol.send(BytesMessage(data=bytes([stream]) + data)))

    async def _send(self, data: bytes) -> None:
        await self._stream.tls.write(data)

    def _take(self, event: BytesMessage | TextMessage) -> None:
        self._partial += event.data.encode() if isinstance(event, TextMessage) else event.data
        if not event.message_finished:
            return
        message, self._partial = bytes(self._partial), bytearray()
        if message and self._live is not None and message[0] in {STDOUT, STDERR}:
            self._live(message[0], message[1:])
            return
        kept = self._output.get(message[0]) if message else None
        if kept is not None:
            kept += message[1 : 1 + max(0, LONGEST - len(kept))]

    def _result(self) -> Result:
        """Return how the program ended, from the Status object on the last stream."""
        try:
            status = json.loads(self._output[STATUS])
        except ValueError:
            raise ApiError(f"{self._about}: the connection ended before the program did; run again") from None
        return Result(_exit_status(status, self._about), bytes(self._output[STDOUT]), bytes(self._output[STDERR]))

    def _refusal(self, status: int, body: bytes) -> ApiError:
        try:
            value = json.loads(body)
        except ValueError:
            value = None
        told = value if isinstance(value, dict) else {}
        words = told.get("message") or body.decode("utf-8", "replace")[:300] or f"HTTP status {status}"
        said = printable(str(words)).strip().rstrip(".")
        todo = "use credentials that may do this" if status in {401, 403} else "see the journal of the node's kubelet"
        return ApiError(f"{self._about}: {said}; {todo}", status, str(told.get("reason", "")))


def _exit_status(status: object, about: str) -> int:
    """Return the exit status in a Status object; raises ApiError where the program was not run."""
    if isinstance(status, Mapping) and status.get("status") == "Success":
        return 0
    told = status if isinstance(status, Mapping) else {}
    details = told.get("details")
    for cause in (details.get("causes") or ()) if isinstance(details, Mapping) else ():
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    said = printable(str(told.get("message") or "it was not run")).strip().rstrip(".")
    raise ApiError(f"{about}: {said}; see the journals of the node's kubelet and containerd")
