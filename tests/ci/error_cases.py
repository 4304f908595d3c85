"""The faults of project files whose messages are golden: one folder each, with project.yaml and its message.

Where a file loads, the message is its warnings. Waivers are judged on one day, so that the messages stay.
`make golden` (or `python -m tests.ci.error_cases` for these alone) writes the messages anew, prints what changed and
fails where anything did.
"""

import difflib
import sys
from datetime import date
from pathlib import Path

from generator.ci.project import load_project
from generator.errors import SpecError

FOLDER = Path(__file__).parent / "errors"
TODAY = date(2026, 11, 20)


def faults() -> list[str]:
    return sorted(path.parent.name for path in FOLDER.glob("*/project.yaml"))


def message(fault: str) -> str:
    content = (FOLDER / fault / "project.yaml").read_bytes()
    try:
        project = load_project(content, "clusters/prod/projects/hello.yaml", today=TODAY)
    except SpecError as error:
        return f"{error}\n"
    return "".join(f"warning: {warning}\n" for warning in project.warnings)


def update() -> bool:
    """Write every message anew; returns whether one changed."""
    changed = False
    for fault in faults():
        golden = FOLDER / fault / "message.txt"
        old = golden.read_text(encoding="utf-8") if golden.exists() else ""
        new = message(fault)
        if old != new:
            changed = True
            golden.write_text(new, encoding="utf-8")
            sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), new.splitlines(True), fault, fault, n=0))
    return changed


if __name__ == "__main__":
    sys.exit(1 if update() else 0)
