"""HTTP/1.1 over one TLS stream: one request after another, whole answers, kept open while both sides agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import h11

from fleet.tls import TlsStream


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ConnectionLostError(ConnectionError):
    """The server hung up; `answered` tells whether any part of an answer had come."""

    def __init__(self, message: str, *, answered: bool) -> None:
        self.answered = answered
        super().__init__(message)


class HttpConnection:
    """One HTTP/1.1 connection. `usable`: another request may follow; `used`: one has been answered."""

    def __init__(self, stream: TlsStream, host: str) -> None:
        self._stream = stream
        self._host = host
        self._protocol = h11.Connection(h11.CLIENT)
        self.usable = True
        self.used = False

    async def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send one request and return the whole answer.

        Raises ConnectionLostError where the server hangs up or does not speak HTTP.
        """
        self.usable = False
        fields = {"host": self._host, "content-length": str(len(body)), "accept": "application/json", **headers}
        request = h11.Request(method=method, target=target, headers=list(fields.items()))
        out = self._protocol.send(request) or b""
        if body:
            out += self._protocol.send(h11.Data(data=body)) or b""
        out += self._protocol.send(h11.EndOfMessage()) or b""
        try:
            await self._stream.write(out)
        except (ConnectionError, BrokenPipeError) as error:
            raise ConnectionLostError(str(error), answered=False) from None
        return await self._answer()

    async def _answer(self) -> Answer:
        response: h11.Response | None = None
        parts: list[bytes] = []
        while True:
            try:
                event = self._protocol.next_event()
            except h11.RemoteProtocolError as error:
                raise ConnectionLostError(f"the answer is no whole HTTP answer: {error}", answered=True) from None
            if event is h11.NEED_DATA:
                data = await self._stream.read()
                if not data and response is None:
                    raise ConnectionLostError("the server hung up without an answer", answered=False)
                self._protocol.receive_data(data)
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                parts.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionLostError("the server hung up in the middle of an answer", answered=True)
        assert response is not None
        self.used = True
        if self._protocol.our_state is h11.DONE and self._protocol.their_state is h11.DONE:
            self._protocol.start_next_cycle()
            self.usable = True
        headers = {name.decode("ascii").lower(): value.decode("latin-1") for name, value in response.headers}
        return Answer(response.status_code, headers, b"".join(parts))

    def close(self) -> None:
        """Close the connection."""
        self.usable = False
        self._stream.close()
