"""Requests to whichever API server answers: kept connections, the next server when one is gone, patience when busy."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from fleet.endpoints import Endpoint
from fleet.http11 import Answer, ConnectionLostError, HttpConnection
from fleet.tls import TlsStream, open_tls
from generator.errors import ApiError, HostError

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 3.0
_ATTEMPT_SECONDS = 60.0
_BUSY = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class OpenStream:
    """A fresh TLS connection to an API server, for what is no plain request: its Host field, and fields to send."""

    tls: TlsStream
    host: str
    headers: Mapping[str, str]


class Channel:
    """Carries requests to the first of some endpoints that answers, and stays with it until it fails.

    `context` is asked for at every use, so that a run may outlive its certificate: connections made with an older one
    are closed. `headers` go with every request (a bearer token). `sleep` and `now` (monotonic seconds) are there
    for tests.
    """

    def __init__(
        self,
        cluster: str,
        endpoints: Sequence[Endpoint],
        context: Callable[[], ssl.SSLContext],
        *,
        headers: Mapping[str, str] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if not endpoints:
            raise ApiError(f"{cluster}: kube-apiserver: no control-plane host is known; render the cluster first")
        self.cluster = cluster
        self._endpoints = list(endpoints)
        self._context = context
        self._headers = dict(headers or {})
        self._sleep = sleep
        self._now = now
        self._idle: list[tuple[ssl.SSLContext, HttpConnection]] = []

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that answered last (the first one before any request)."""
        return self._endpoints[0]

    async def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        seconds: float,
        wait_busy: bool = True,
    ) -> Answer:
        """Return the answer to one request.

        What cannot be reached is tried again, and so is a busy server (429, 503, with its Retry-After) unless
        `wait_busy` is False, until `seconds` have passed. Raises ApiError where no server answers in time, and at
        once where a server's certificate is wrong.
        """
        deadline = self._now() + seconds
        pause = _FIRST_PAUSE
        while True:
            answer, trouble = await self._round(method, target, headers, body, deadline)
            if answer is not None and not (wait_busy and answer.status in _BUSY):
                return answer
            wanted = _retry_after(answer) if answer is not None else 0.0
            wait = max(pause, wanted)
            if self._now() + wait >= deadline:
                if answer is not None:
                    return answer
                raise ApiError(
                    f"{self.cluster}: kube-apiserver: no API server can be reached ({trouble}); "
                    "see that kube-apiserver runs on a control-plane host"
                )
            await self._sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def open_stream(self) -> OpenStream:
        """Return a connection of the caller's own to the first endpoint that answers; the caller closes it.

        Raises ApiError where no server answers.
        """
        troubles: list[str] = []
        for endpoint in tuple(self._endpoints):
            try:
                async with asyncio.timeout(_ATTEMPT_SECONDS):
                    stream = await self._tls(endpoint, self._context())
            except (OSError, HostError) as error:
                troubles.append(f"{endpoint.name}: {_words(error)}")
            else:
                return OpenStream(stream, endpoint.authority, self._headers)
        raise ApiError(
            f"{self.cluster}: kube-apiserver: no API server can be reached ({'; '.join(troubles)}); "
            "see that kube-apiserver runs on a control-plane host"
        )

    async def close(self) -> None:
        """Close all kept connections."""
        while self._idle:
            self._idle.pop()[1].close()

    async def _round(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> tuple[Answer | None, str]:
        """Try every endpoint once, beginning with the one that answered last."""
        troubles: list[str] = []
        for endpoint in tuple(self._endpoints):
            left = max(1.0, min(_ATTEMPT_SECONDS, deadline - self._now()))
            try:
                async with asyncio.timeout(left):
                    answer = await self._once(endpoint, method, target, headers, body)
            except TimeoutError:
                troubles.append(f"{endpoint.name}: no answer within {left:.0f}s")
            except ssl.SSLCertVerificationError as error:
                raise ApiError(
                    f"{self.cluster}/{endpoint.name}: kube-apiserver: its certificate is not good for "
                    f"{endpoint.server_name}: {error.verify_message}; "
                    "apply the rendered certificates or check who answers there"
                ) from None
            except (OSError, HostError) as error:
                troubles.append(f"{endpoint.name}: {_words(error)}")
            else:
                self._prefer(endpoint)
                return answer, ""
            await self.close()
        return None, "; ".join(troubles)

    def _prefer(self, endpoint: Endpoint) -> None:
        """Begin the next request with the endpoint that answers, the others after it in their order."""
        at = self._endpoints.index(endpoint)
        self._endpoints = self._endpoints[at:] + self._endpoints[:at]

    async def _once(
        self, endpoint: Endpoint, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        fields = {**self._headers, **headers}
        while True:
            context = self._context()
            kept = self._kept(context)
            connection = kept or await self._open(endpoint, context)
            try:
                answer = await connection.request(method, target, fields, body)
            except ConnectionLostError as error:
                connection.close()
                # A server may close a kept connection at any time; that says nothing about the request.
                if kept is not None and not error.answered:
                    continue
                raise
            except BaseException:
                connection.close()
                raise
            if connection.usable and answer.headers.get("connection", "").lower() != "close":
                self._idle.append((context, connection))
            else:
                connection.close()
            return answer

    def _kept(self, context: ssl.SSLContext) -> HttpConnection | None:
        while self._idle:
            made_with, connection = self._idle.pop()
            if made_with is context:
                return connection
            connection.close()
        return None

    async def _open(self, endpoint: Endpoint, context: ssl.SSLContext) -> HttpConnection:
        return HttpConnection(await self._tls(endpoint, context), endpoint.authority)

    async def _tls(self, endpoint: Endpoint, context: ssl.SSLContext) -> TlsStream:
        reader, writer = await endpoint.dial()
        return await open_tls(reader, writer, context, endpoint.server_name)


def _retry_after(answer: Answer) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), 10.0) if text.isdigit() else 0.0


def _words(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
