"""What the containers of a release have said: read once, or followed through restarts and new pods.

Every line is asked for with its time, by which a log that broke off is taken up where it was.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import h11

from fleet.channel import Channel
from fleet.connection import printable
from fleet.kube import Api
from fleet.release_pods import Container, ReleasePod, release_pods
from generator.errors import ApiError, HostError, RefusedError

LOOK_SECONDS = 2.0
"""How often a release that is followed is asked for its pods."""
LONGEST = 16 << 20
"""How much of one container's log is read at once, in bytes."""
_LONGEST_LINE = 1 << 20
Moment = tuple[int, int]
"""Seconds since 1970 and nanoseconds."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `time` is empty for one that the API has without."""

    pod: str
    container: str
    time: str
    text: str

    @property
    def moment(self) -> Moment:
        """When it was said, to sort by."""
        return moment(self.time)


def moment(time: str) -> Moment:
    """Return a time of RFC 3339, whatever its zone and digits; one that is none is before all others."""
    head, dot, rest = time.partition(".")
    digits = rest[: next((at for at, char in enumerate(rest) if not char.isdigit()), len(rest))] if dot else ""
    try:
        whole = datetime.fromisoformat(head + rest[len(digits) :])
    except ValueError:
        return (0, 0)
    whole = whole if whole.tzinfo else whole.replace(tzinfo=UTC)
    return (int(whole.timestamp()), int(f"{digits:0<9}"[:9] or 0))


def line_from(pod: str, container: str, data: bytes) -> Line:
    """Return a line of the API, whose time stands before a space."""
    text = data.decode("utf-8", "backslashreplace").removesuffix("\r")
    time, space, said = text.partition(" ")
    if moment(time) == (0, 0):
        return Line(pod, container, "", text)
    return Line(pod, container, time, said if space else "")


def _path(namespace: str, pod: str, container: str, **options: str) -> str:
    query = urlencode({"container": container, "timestamps": "true", **options})
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}/log?{query}"


def _refusal(cluster: str, pod: str, container: str, status: int, body: bytes) -> ApiError:
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    said = str(told.get("message") or "") if isinstance(told, dict) else ""
    words = printable(said or body.decode("utf-8", "replace")[:300] or f"HTTP status {status}").strip().rstrip(".")
    todo = {
        401: "use credentials of this cluster",
        403: "use credentials that may get pods/log in that namespace",
        404: "ask again: the pod has gone",
    }.get(status, "see the journal of the node's kubelet")
    return ApiError(f"{cluster}: kube-apiserver: log of {pod}/{container}: {words}; {todo}", status)


async def read_log(
    api: Api, namespace: str, pod: str, container: str, *, tail: int, previous: bool = False
) -> tuple[Line, ...]:
    """Return the last lines of a container, with `previous` those of its run before; raises ApiError."""
    options = {"tailLines": str(tail), "limitBytes": str(LONGEST)} | ({"previous": "true"} if previous else {})
    target = _path(namespace, pod, container, **options)
    # A log is text, and the API refuses who takes nothing but JSON.
    answer = await api.channel.request("GET", target, {"accept": "*/*"}, b"", seconds=30)
    if answer.status != 200:
        raise _refusal(api.cluster, pod, container, answer.status, answer.body)
    return tuple(line_from(pod, container, one) for one in answer.body.splitlines())


async def read_logs(
    api: Api, namespace: str, pods: Sequence[ReleasePod], *, tail: int, previous: bool = False
) -> tuple[dict[tuple[str, str], tuple[Line, ...]], dict[tuple[str, str], str]]:
    """Return lines by pod and container, and why a container has none to read.

    Raises ApiError where the credentials may not read, and where no API server answers.
    """
    lines: dict[tuple[str, str], tuple[Line, ...]] = {}
    whys: dict[tuple[str, str], str] = {}
    for pod in pods:
        for one in pod.containers:
            key = (pod.name, one.name)
            if previous and one.restarts == 0:
                whys[key] = "it never ran before"
            elif not previous and not one.has_log:
                whys[key] = one.reason or "it has not begun"
            else:
                try:
                    lines[key] = await read_log(api, namespace, *key, tail=tail, previous=previous)
                except ApiError as error:
                    if error.status not in {400, 404, 500}:
                        raise
                    whys[key] = str(error).partition(f": log of {pod.name}/{one.name}: ")[2] or str(error)
    return lines, whys


async def stream_log(
    channel: Channel, namespace: str, pod: str, container: str, told: Callable[[Line], None], **options: str
) -> None:
    """Tell every line of a container as it comes, until the log ends or the connection breaks; raises ApiError."""
    stream = await channel.open_stream()
    try:
        protocol = h11.Connection(h11.CLIENT)
        headers = [("host", stream.host), ("accept", "*/*"), *stream.headers.items()]
        target = _path(namespace, pod, container, follow="true", **options)
        asked = protocol.send(h11.Request(method="GET", target=target, headers=headers)) or b""
        await stream.tls.write(asked + (protocol.send(h11.EndOfMessage()) or b""))
        status, rest, said = 0, bytearray(), bytearray()
        while True:
            event = protocol.next_event()
            if event is h11.NEED_DATA:
                protocol.receive_data(await stream.tls.read())
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data) and status == 200:
                *whole, last = (bytes(rest) + bytes(event.data)).split(b"\n")
                rest = bytearray(last[:_LONGEST_LINE])
                for one in whole:
                    told(line_from(pod, container, one))
            elif isinstance(event, h11.Data):
                said += event.data
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                break
        if rest:
            told(line_from(pod, container, bytes(rest)))
        if status != 200 and status:
            raise _refusal(channel.cluster, pod, container, status, bytes(said))
    except (OSError, h11.RemoteProtocolError):
        # Whoever follows looks whether the container still runs, and takes it up again.
        return
    finally:
        stream.tls.close()


class Follower:
    """Follows all containers of a release, those of pods that come later too, until no pod is left."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        release: str,
        *,
        tail: int,
        told: Callable[[Line], None],
        noted: Callable[[str], None],
        look: float = LOOK_SECONDS,
    ) -> None:
        self._api, self._namespace, self._release = api, namespace, release
        self._tail, self._told, self._noted, self._look = tail, told, noted, look
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._last: dict[tuple[str, str], str] = {}
        self._read: set[tuple[str, str, str]] = set()
        self._said: dict[str, str] = {}

    async def run(self) -> None:
        """Follow; raises RefusedError where there is no pod, and ApiError where the API does not let it."""
        pods = await release_pods(self._api, self._namespace, self._release)
        try:
            while True:
                self._take(pods)
                await asyncio.sleep(self._look)
                for task in [task for task in self._tasks.values() if task.done()]:
                    task.result()
                try:
                    pods = await release_pods(self._api, self._namespace, self._release)
                except RefusedError as error:
                    await asyncio.gather(*self._tasks.values())
                    self._noted(str(error))
                    return
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _take(self, pods: Sequence[ReleasePod]) -> None:
        for pod in pods:
            if not pod.ready and pod.reason and self._said.get(pod.name) != pod.line:
                self._said[pod.name] = pod.line
                self._noted(pod.line)
            for one in pod.containers:
                key = (pod.name, one.name)
                task = self._tasks.get(key)
                if not one.has_log or (task is not None and not task.done()) or (*key, one.id) in self._read:
                    continue
                self._tasks[key] = asyncio.ensure_future(self._one(*key, one))

    async def _one(self, pod: str, container: str, seen: Container) -> None:
        last = self._last.get((pod, container), "")
        after = moment(last)

        def told(line: Line) -> None:
            # The API knows whole seconds only: what was told of the last one comes again.
            if line.time and line.moment <= after:
                return
            self._last[pod, container] = line.time or self._last.get((pod, container), "")
            self._told(line)

        options = {"sinceTime": _whole(last)} if last else {"tailLines": str(self._tail)}
        try:
            await stream_log(self._api.channel, self._namespace, pod, container, told, **options)
        except ApiError as error:
            # It has not begun yet, or it is gone; the next look tells.
            if error.status not in {0, 400, 404, 500, 503}:
                raise
        except HostError:
            return
        if seen.state != "running":
            self._read.add((pod, container, seen.id))


def _whole(time: str) -> str:
    seconds = moment(time)[0]
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
