"""Ranges of hosts: worker-[001:050] with 10.0.1.[1:50] is fifty hosts, written once.

A text may hold several ranges, all of the same length; they advance together. Zero padding is kept: the width of the
first number is that of all. Numbers are decimal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"\[([0-9]+):([0-9]+)\]")
MAX_LENGTH = 10_000


class RangeFault(ValueError):
    """A range that cannot be expanded; `what` is wrong and `todo` is what to do."""

    def __init__(self, what: str, todo: str) -> None:
        self.what = what
        self.todo = todo
        super().__init__(f"{what}; {todo}")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text with ranges in it; `length` is None where it holds none."""

    text: str
    length: int | None

    def at(self, index: int) -> str:
        """Return the text for one step; a text without a range is the same for all."""

        def one(match: re.Match[str]) -> str:
            return str(int(match[1]) + index).rjust(len(match[1]), "0")

        return _RANGE.sub(one, self.text)


def pattern(text: str) -> Pattern:
    """Return a text as a pattern; raises RangeFault where a range is backwards, too long, or lengths differ."""
    lengths: list[int] = []
    for match in _RANGE.finditer(text):
        if len(match[1]) > 9 or len(match[2]) > 9:
            raise RangeFault(f"{match[0]} has a number of more than nine digits", "use smaller numbers")
        first, last = int(match[1]), int(match[2])
        if last < first:
            raise RangeFault(f"{match[0]} runs backwards", f"write [{match[2]}:{match[1]}]")
        if last - first + 1 > MAX_LENGTH:
            raise RangeFault(f"{match[0]} is longer than {MAX_LENGTH}", "split it")
        lengths.append(last - first + 1)
    if len(set(lengths)) > 1:
        raise RangeFault(
            f"{text!r} holds ranges of different lengths", "let them be equally long, since they advance together"
        )
    rest = _RANGE.sub("", text)
    if "[" in rest or "]" in rest:
        raise RangeFault(f"{text!r} holds a bracket that is no range", "write a range as [first:last], like [001:050]")
    return Pattern(text, lengths[0] if lengths else None)
