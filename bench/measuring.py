"""Timing of whole processes, repeated runs with median and spread, and what machine it was."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_LOOK_SECONDS = 3.0


class BenchError(Exception):
    """A measurement that could not be made; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Run:
    """One process from its start to its end.

    `seconds` by the clock, `cpu` seconds of it and of the children that it waited for (user and system), `peak` the
    most memory in MiB that one of them held (ru_maxrss). `ended` False: killed when its time was up.
    """

    seconds: float
    cpu: float
    peak: float
    output: str
    ended: bool = True


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    most: float | None = None,
    accept: Sequence[int] = (0,),
) -> Run:
    """Run a program to its end and return what it took; `env` adds to the environment.

    After `most` seconds it is killed with everything that it started. Raises BenchError for an exit status not in
    `accept`.
    """
    words = [str(word) for word in argv]
    began = time.monotonic()
    process = subprocess.Popen(
        words,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    late = threading.Event()

    def kill() -> None:
        late.set()
        # Those that began a session of their own, as Ansible's forks do, are not in the group.
        for one in [*descendants(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)

    timer = threading.Timer(most, kill) if most else None
    if timer:
        timer.start()
    assert process.stdout is not None
    with process.stdout as stream:
        said = stream.read()
    # wait4 gives what this one process and its children used; getrusage would mix all that were ever started.
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    if timer:
        timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    output = said.decode("utf-8", "replace")
    if not late.is_set() and process.returncode not in accept:
        last = "\n".join(output.strip().splitlines()[-15:])
        raise BenchError(f"`{' '.join(words[:6])}` failed with exit code {process.returncode}; it said:\n{last}")
    return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, output, not late.is_set())


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have, from /proc (Linux)."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The second field is the program's name, which may hold anything; the parent is the second one behind it.
            children.setdefault(int(path.read_text().rpartition(")")[2].split()[1]), []).append(int(path.parent.name))
    found = list(children.get(pid, ()))
    for one in found:
        found.extend(children.get(one, ()))
    return found


def figures(runs: Sequence[Run]) -> dict[str, Any]:
    """Return runs as the results hold them: median, least and most seconds, median CPU seconds, highest peak in MiB."""
    found: dict[str, Any] = {
        **spread([one.seconds for one in runs]),
        "cpu": round(statistics.median(one.cpu for one in runs), 3),
        "peakMiB": round(max(one.peak for one in runs), 1),
    }
    if not all(one.ended for one in runs):
        found["ended"] = False
    return found


def spread(seconds: Sequence[float]) -> dict[str, Any]:
    """Return median, least and most of some figures, and how many there are."""
    return {
        "seconds": round(statistics.median(seconds), 3),
        "least": round(min(seconds), 3),
        "most": round(max(seconds), 3),
        "runs": len(seconds),
    }


def alternated(count: int, *measured: Callable[[], Run]) -> list[list[Run]]:
    """Run several things in turn, `count` times, and return the runs of each: a machine's moods then meet all alike."""
    found: list[list[Run]] = [[] for _ in measured]
    for _ in range(count):
        for runs, one in zip(found, measured, strict=True):
            runs.append(one())
    return found


def machine() -> dict[str, Any]:
    """Return what this machine is, without its name, and how many of its cores were busy before a measurement.

    The load average is there too, but it still counts what has ended minutes ago.
    """
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "cores": len(os.sched_getaffinity(0)),
        "memoryGiB": round(pages / 2**30, 1),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "loadBefore": round(os.getloadavg()[0], 2),
        "busyBefore": round(busy_cores(_LOOK_SECONDS), 2),
    }


def busy_cores(seconds: float) -> float:
    """Return how many cores work on average during some seconds, from /proc/stat (Linux)."""

    def used() -> float:
        # user nice system idle iowait irq softirq steal, in ticks of all cores together.
        ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")

    before, began = used(), time.monotonic()
    time.sleep(seconds)
    return (used() - before) / (time.monotonic() - began)
