"""What the containers of a release have said: read once, or followed through restarts and new pods.

Every line is asked for with its time, by which a log that broke off is taken up where it was.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import h11

from fleet.channel import Channel
from fleet.connection import printable
from fleet.kube import Api
from fleet.release_pods import Container, ReleasePod, narrowed, release_pods
from generator.errors import ApiError, HostError, RefusedError

LOOK_SECONDS = 2.0
"""How often a release that is followed is asked for its pods."""
LONGEST = 16 << 20
"""How much of one container's log is read at once, in bytes."""
_LONGEST_LINE = 1 << 20
_AT_ONCE = 8
"""How many logs are read beside each other."""
_NOBODY = frozenset({401, 403})
"""Statuses that no second try changes: the credentials may not read."""
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are asked for: so many last ones, those of so many last seconds, those of the run before."""

    tail: int | None = None
    since: int | None = None
    previous: bool = False

    @property
    def options(self) -> dict[str, str]:
        """How the API is asked for them."""
        found = {"tailLines": self.tail, "sinceSeconds": self.since}
        asked = {key: str(value) for key, value in found.items() if value is not None}
        return {**asked, "previous": "true"} if self.previous else asked


async def read_log(api: Api, namespace: str, pod: str, container: str, wanted: Wanted) -> tuple[Line, ...]:
    """Return lines of a container; raises ApiError."""
    target = _path(namespace, pod, container, limitBytes=str(LONGEST), **wanted.options)
    # A log is text, and the API refuses who takes nothing but JSON.
    answer = await api.channel.request("GET", target, {"accept": "*/*"}, b"", seconds=30)
    if answer.status != 200:
        raise _refusal(api.cluster, pod, container, answer.status, answer.body)
    # By the end of a line alone: what overwrites itself on a terminal has carriage returns in one line.
    *whole, last = answer.body.split(b"\n")
    return tuple(line_from(pod, container, one) for one in (*whole, *([last] if last else ())))


def in_order(logs: Iterable[Sequence[Line]]) -> list[Line]:
    """Return the lines of several containers in the order of time; one without a time stays behind the one before."""
    timed: list[tuple[Moment, Line]] = []
    for lines in logs:
        last: Moment = (0, 0)
        for one in lines:
            last = one.moment if one.time else last
            timed.append((last, one))
    return [one for _, one in sorted(timed, key=lambda pair: pair[0])]


async def read_logs(
    api: Api, namespace: str, pods: Sequence[ReleasePod], wanted: Wanted
) -> tuple[dict[tuple[str, str], tuple[Line, ...]], dict[tuple[str, str], str]]:
    """Return lines by pod and container, and why a container has none to read.

    Raises ApiError where the credentials may not read, and where no API server answers.
    """
    lines: dict[tuple[str, str], tuple[Line, ...]] = {}
    whys: dict[tuple[str, str], str] = {}
    slots = asyncio.Semaphore(_AT_ONCE)

    async def read(pod: str, one: Container) -> None:
        key = (pod, one.name)
        if wanted.previous and one.restarts == 0:
            whys[key] = "it never ran before"
        elif not wanted.previous and not one.has_log:
            whys[key] = one.reason or "it has not begun"
        else:
            try:
                async with slots:
                    lines[key] = await read_log(api, namespace, *key, wanted)
            except ApiError as error:
                # One node that does not answer hides nothing of the others; an API that does not answer does.
                if not error.status or error.status in _NOBODY:
                    raise
                whys[key] = str(error).partition(f": log of {pod}/{one.name}: ")[2] or str(error)

    reading = (read(pod.name, one) for pod in pods for one in pod.containers)
    for error in await asyncio.gather(*reading, return_exceptions=True):
        if error is not None:
            raise error
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
                rest = bytearray(last)
                if len(rest) > _LONGEST_LINE:
                    # It comes in pieces.
                    whole, rest = [*whole, bytes(rest)], bytearray()
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
        wanted: Wanted,
        pod: str | None = None,
        container: str | None = None,
        told: Callable[[Line], None],
        noted: Callable[[str], None],
        look: float = LOOK_SECONDS,
    ) -> None:
        self._api, self._namespace, self._release = api, namespace, release
        self._wanted, self._told, self._noted, self._look = wanted, told, noted, look
        self._pod, self._container = pod, container
        self._first = True
        self._away = False
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._last: dict[tuple[str, str], str] = {}
        self._read: set[tuple[str, str, str]] = set()
        self._known: set[tuple[str, str]] = set()
        """Those that had spoken before: of what begins later nothing is left out."""
        self._said: dict[str, str] = {}

    async def run(self) -> None:
        """Follow; raises RefusedError where there is no pod, and ApiError where the API does not let it."""
        pods: Sequence[ReleasePod] = await release_pods(self._api, self._namespace, self._release)
        narrowed(pods, self._container, self._pod)
        try:
            while True:
                self._take(pods)
                await asyncio.sleep(self._look)
                for task in [task for task in self._tasks.values() if task.done()]:
                    task.result()
                try:
                    pods = await self._looked(pods)
                except RefusedError as error:
                    await asyncio.gather(*self._tasks.values())
                    self._noted(str(error))
                    return
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _looked(self, before: Sequence[ReleasePod]) -> Sequence[ReleasePod]:
        """Return the pods as they are now, those of before while nobody can be asked; raises RefusedError for none."""
        try:
            pods = await release_pods(self._api, self._namespace, self._release)
        except (ApiError, HostError) as error:
            if isinstance(error, ApiError) and error.status in _NOBODY:
                raise
            if not self._away:
                self._noted(f"{error}; what comes is waited for")
            self._away = True
            return before
        self._away = False
        if self._pod is not None and all(one.name != self._pod for one in pods):
            raise RefusedError(f"pod {self._pod} is gone")
        return pods

    def _take(self, pods: Sequence[ReleasePod]) -> None:
        begun, self._first = self._first, False
        for pod in pods:
            if self._pod not in (None, pod.name):
                continue
            if not pod.ready and pod.reason and self._said.get(pod.name) != pod.line:
                self._said[pod.name] = pod.line
                self._noted(pod.line)
            for one in pod.containers:
                key = (pod.name, one.name)
                if begun and one.has_log:
                    self._known.add(key)
                task = self._tasks.get(key)
                if (
                    self._container not in (None, one.name)
                    or not one.has_log
                    or (task is not None and not task.done())
                    or (*key, one.id) in self._read
                ):
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

        options = (
            {"sinceTime": _whole(last)} if last else self._wanted.options if (pod, container) in self._known else {}
        )
        try:
            await stream_log(self._api.channel, self._namespace, pod, container, told, **options)
        except ApiError as error:
            # It has not begun yet, it is gone, or nobody answers; the next look tells.
            if error.status in _NOBODY:
                raise
        except HostError:
            return
        if seen.state != "running":
            self._read.add((pod, container, seen.id))


def _whole(time: str) -> str:
    seconds = moment(time)[0]
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
