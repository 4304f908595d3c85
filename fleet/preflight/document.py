"""A preflight for programs: plain values in a shape that stays (docs/json/preflight.schema.json)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from fleet.connection import printable
from fleet.preflight.finding import Finding, exit_code
from fleet.preflight.seen import Seen
from fleet.preflight.table import CHECKS


def preflight_document(seen: Seen, found: Sequence[Finding], skipped: Collection[str], now: datetime) -> dict[str, Any]:
    """Return what `--json` prints: a finding for each host, not folded."""
    return {
        "cluster": seen.tree.cluster,
        "time": now.isoformat(timespec="seconds"),
        "exit": exit_code(found),
        "hosts": list(seen.names),
        "checks": [check.name for check in CHECKS if check.name not in skipped],
        "skipped": sorted(skipped),
        "findings": [
            {
                "severity": one.severity, "check": one.check, "host": one.host,
                "text": printable(one.text), "detail": printable(one.detail), "todo": one.todo,
            }
            for one in found
        ],
    }  # fmt: skip
