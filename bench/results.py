"""Results as JSON, one file for each benchmark, from which docs/benchmarks.md is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def save(name: str, found: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Write the result of one benchmark and return its file; the one before is replaced (git keeps it)."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(found, indent=2) + "\n")
    return path


def read(name: str, folder: Path = RESULTS) -> dict[str, Any] | None:
    """Return the result of one benchmark, None where it has not been run."""
    path = folder / f"{name}.json"
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    return found
