"""A schedule of five cron fields: as the calendar of a systemd timer, and how far its moments lie apart.

The fields are those of CronJobs (https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax);
calendars are those of systemd.time(7). Where day of month and day of week are both limited, either is enough in cron,
while systemd asks for both; so such a schedule becomes two calendars.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from itertools import pairwise

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    ("minute", 0, 59, ()), ("hour", 0, 23, ()), ("day of month", 1, 31, ()), ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)  # fmt: skip
_PART = re.compile(r"(\*|[0-9a-z]+)(?:-([0-9a-z]+))?(?:/([0-9]+))?")
_EVERY = frozenset({"*", "*/1"})
_YEARS = 8
"""Within so many years every date comes, the 29th of February too."""


@dataclass(frozen=True)
class Schedule:
    """The moments of a schedule. `any_day` and `any_weekday` say whether the field was left at every day."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    any_day: bool
    any_weekday: bool

    def calendars(self) -> tuple[str, ...]:
        """Return the values of OnCalendar, in UTC as the CronJob has it."""
        time = f"{_joined(self.hours, 24)}:{_joined(self.minutes, 60)}:00 UTC"
        month = _joined(self.months, 12)
        by_day = f"*-{month}-{_joined(self.days, 31)} {time}"
        names = ",".join(_DAYS[day].capitalize() for day in sorted(self.weekdays, key=lambda day: (day - 1) % 7))
        by_weekday = f"{names} *-{month}-* {time}"
        if self.any_weekday:
            return (by_day,)
        return (by_weekday,) if self.any_day else (by_day, by_weekday)

    @cached_property
    def gaps(self) -> tuple[int, int]:
        """The shortest and the longest time between two moments, in seconds; ValueError where none ever comes."""
        times = sorted(hour * 3600 + minute * 60 for hour in self.hours for minute in self.minutes)
        days = list(self._days())
        if not days:
            raise ValueError("never comes: there is no such day")
        between = [(later - sooner).days * 86400 for sooner, later in pairwise(days)]
        within = [later - sooner for sooner, later in pairwise(times)]
        over_night = [gap + times[0] - times[-1] for gap in between]
        return min([*within, *over_night]), max([*within, *over_night])

    def _days(self) -> Iterator[date]:
        first = date(2024, 1, 1)
        for number in range(_YEARS * 366):
            day = first + timedelta(days=number)
            by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
            # Where one of them is left at every day, it holds for any; else one of the two is enough.
            good = (by_day and by_weekday) if self.any_day or self.any_weekday else (by_day or by_weekday)
            if good and day.month in self.months:
                yield day


def schedule(text: str) -> Schedule:
    """Return the schedule that five fields say; raises ValueError with what is wrong."""
    words = text.lower().split()
    if len(words) != len(_FIELDS):
        raise ValueError(f"has {len(words)} fields and not five")
    minutes, hours, days, months, weekdays = (_values(word, *field) for word, field in zip(words, _FIELDS, strict=True))
    found = Schedule(
        minutes, hours, days, months, tuple(sorted({day % 7 for day in weekdays})),
        any_day=words[2] in _EVERY, any_weekday=words[4] in _EVERY,
    )  # fmt: skip
    _ = found.gaps
    return found


def _values(word: str, name: str, low: int, high: int, names: tuple[str, ...]) -> tuple[int, ...]:
    found: set[int] = set()
    for part in word.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"has a {name} {part!r}, which systemd and CronJobs do not both know")
        first, last, step = match.groups()
        begin = low if first == "*" else _number(first, name, low, names)
        end = _number(last, name, low, names) if last else high if first == "*" or step else begin
        if first == "*" and last:
            raise ValueError(f"has a {name} {part!r}, which is no range")
        if step == "0" or not low <= begin <= end <= high:
            raise ValueError(f"has a {name} {part!r}, which is not within {low} to {high}")
        found |= set(range(begin, end + 1, int(step or 1)))
    return tuple(sorted(found))


def _number(text: str, name: str, low: int, names: tuple[str, ...]) -> int:
    if text.isdigit():
        return int(text)
    if text in names:
        return names.index(text) + low
    raise ValueError(f"has a {name} {text!r}, which is no number or name")


def _joined(values: tuple[int, ...], count: int) -> str:
    return "*" if len(values) == count else ",".join(f"{value:02}" for value in values)
