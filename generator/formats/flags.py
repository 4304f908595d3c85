"""Command-line flags as a map until the last moment, then sorted, one per line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flag_text(value: Any) -> str:
    """Return a flag's value as components read it: true and false in lower case, lists joined by commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(flag_text(part) for part in value)
    return str(value)


def flag_words(flags: Mapping[str, Any]) -> list[str]:
    """Return `--name=value` words, sorted by name.

    A tuple means a flag that may be given several times: one word for each value, in the given order.
    """
    words: list[str] = []
    for name in sorted(flags):
        value = flags[name]
        for one in value if isinstance(value, tuple) else (value,):
            words.append(f"--{name}={flag_text(one)}")
    return words
