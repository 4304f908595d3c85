"""Many names in one short text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)")


def folded(names: Iterable[str]) -> str:
    """Return names in one short text: runs of numbers as `worker-001…050`."""
    runs: list[list[tuple[str, int | None]]] = []
    for name in sorted(names, key=_natural):
        match = _NUMBERED.fullmatch(name)
        number = int(match.group(2)) if match else None
        if runs and number is not None:
            last, last_number = runs[-1][-1]
            if last_number is not None and number == last_number + 1 and _stem(last) == _stem(name):
                runs[-1].append((name, number))
                continue
        runs.append([(name, number)])
    return ", ".join(_run_text([name for name, _ in run]) for run in runs)


def _run_text(names: Sequence[str]) -> str:
    if len(names) < 3:
        return ", ".join(names)
    match = _NUMBERED.fullmatch(names[-1])
    assert match is not None
    return f"{names[0]}…{match.group(2)}{match.group(3)}"


def _stem(name: str) -> tuple[str, int, str]:
    match = _NUMBERED.fullmatch(name)
    assert match is not None
    digits = match.group(2)
    return match.group(1), len(digits) if digits.startswith("0") else 0, match.group(3)


def _natural(name: str) -> tuple[object, ...]:
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"(\d+)", name))
