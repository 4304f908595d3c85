"""A preflight as people read it: one table, errors first, hosts with equal findings in one row."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fleet.connection import printable
from fleet.folding import folded
from fleet.preflight.finding import Finding
from fleet.preflight.seen import Seen

HEADINGS = ("HOST", "CHECK", "", "WHAT IS WRONG", "WHAT TO DO")
_DETAILS = 3


def rows(found: Sequence[Finding]) -> list[tuple[str, str, str, str, str]]:
    """Return the rows below HEADINGS, in the order of the findings."""
    groups: dict[tuple[str, str, str, str], list[Finding]] = {}
    for one in found:
        groups.setdefault((one.check, one.severity, one.text, one.todo), []).append(one)
    lines = []
    for (check, severity, text, todo), some in groups.items():
        lines.append((folded({one.host for one in some}), check, severity, printable(text + _details(some)), todo))
    return lines


def _details(some: Sequence[Finding]) -> str:
    details = list(dict.fromkeys(one.detail for one in some if one.detail))
    if not details:
        return ""
    more = f" and {len(details) - _DETAILS} more" if len(details) > _DETAILS else ""
    return f" ({', '.join(details[:_DETAILS])}{more})"


def summary(seen: Seen, found: Sequence[Finding], skipped: Collection[str] = ()) -> str:
    """Return one line: how many errors and warnings, over how many hosts, and what was left out."""
    count = {severity: sum(one.severity == severity for one in found) for severity in ("error", "warning")}
    words = [f"{number} {word}{'s' if number > 1 else ''}" for word, number in count.items() if number]
    hosts = "1 host" if len(seen.names) == 1 else f"{len(seen.names)} hosts"
    left = f", without {', '.join(sorted(skipped))}" if skipped else ""
    return f"{seen.tree.cluster}: {' and '.join(words) or 'nothing stands against it'} ({hosts}{left})"


def error_lines(cluster: str, found: Sequence[Finding]) -> list[str]:
    """Return findings as lines of an error: where, what, what to do."""
    return [
        f"{cluster}/{hosts}: preflight: {text}; {todo} (check {check})" for hosts, check, _, text, todo in rows(found)
    ]
