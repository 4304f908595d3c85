"""One thing that stands, or may stand, against a host in the cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong and what to do. `check` is filled in by the table of checks.

    `text` and `todo` are equal on all hosts with the same fault, so that they can be shown together; `detail` (a
    number, a name) may differ.
    """

    host: str
    text: str
    todo: str
    detail: str = ""
    severity: Severity = "error"
    check: str = ""


def exit_code(found: Iterable[Finding]) -> int:
    """Return 1 where there is an error, 0 where there are warnings at most."""
    return 1 if any(one.severity == "error" for one in found) else 0
