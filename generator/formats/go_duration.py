"""Durations as Kubernetes flags spell them, such as 1m30s."""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")


def seconds_of(duration: str) -> float | None:
    """Return the seconds of a duration that is not negative, None where the text is none.

    The grammar is that of Go's time.ParseDuration (https://pkg.go.dev/time#ParseDuration).
    """
    text = duration.removeprefix("+")
    if text == "0":
        return 0.0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
