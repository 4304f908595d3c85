"""Durations and moments as people say them."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def duration(seconds: float) -> str:
    """Return a time in the largest unit of which it has two or more, whole: 90 s, 45 min, 30 h, 12 d."""
    whole = int(seconds)
    for size, name in _UNITS:
        if whole >= 2 * size or size == 1:
            return f"{whole // size} {name}"
    return f"{whole} s"


def moment(text: str) -> str:
    """Return a time as programs write it (ISO 8601) to the minute, and any other text as it is."""
    with suppress(ValueError):
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"
    return text


def bytes_words(count: int) -> str:
    """Return a number of bytes in MB or GB, with one decimal."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
