"""What a host knows of the backups of etcd that it made: the last good one, and why the last one failed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet.tree import Host

_SETTINGS = re.compile(r"/etcd-backup/settings$")


@dataclass(frozen=True, slots=True)
class Good:
    """A snapshot that is whole at its target; `size` in bytes."""

    time: datetime
    revision: int
    size: int
    name: str


@dataclass(frozen=True, slots=True)
class Failure:
    """When a run failed, and why."""

    time: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Backup:
    """One host's own backups; both None where it has made none yet."""

    good: Good | None = None
    failure: Failure | None = None

    @property
    def failed(self) -> bool:
        """Whether the last run failed: a good one takes the note of a failure away, but a CronJob may run elsewhere."""
        return self.failure is not None and (self.good is None or self.failure.time > self.good.time)


def backup_folder(host: Host) -> str:
    """Return where a host keeps what it knows of its backups, "" where it makes none."""
    return _setting(host, "state")


def backup_period(host: Host) -> float:
    """Return the longest time between two moments of the schedule, in seconds; 0 where there is none."""
    found = _setting(host, "period")
    return float(found) if found.isdigit() else 0.0


def newest_good(backups: Iterable[Backup]) -> Good | None:
    """Return the newest of all hosts' good snapshots, None where there is none."""
    return max((one.good for one in backups if one.good is not None), key=lambda good: good.time, default=None)


def good_from(text: str) -> Good:
    """Return what a host wrote of a good snapshot; raises ValueError."""
    time, revision, _, size, name = text.split()
    return Good(_moment(time), int(revision), int(size), name)


def failure_from(text: str) -> Failure:
    """Return what a host wrote of a failure; raises ValueError."""
    time, _, reason = text.partition(" ")
    return Failure(_moment(time), reason)


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _setting(host: Host, name: str) -> str:
    for item in host.items:
        if item.kind == "file" and _SETTINGS.search(item.path):
            for line in item.content.decode("utf-8", "replace").splitlines():
                if line.startswith(f"{name} "):
                    return line.partition(" ")[2]
    return ""
