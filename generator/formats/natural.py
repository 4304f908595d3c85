"""The order of names that end in numbers: encryption/10 comes after encryption/9, sa-2 after sa."""

from __future__ import annotations

import re


def natural_order(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key by which encryption/10 comes after encryption/9."""
    parts = (part for part in re.split(r"(\d+)", name) if part)
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts)
