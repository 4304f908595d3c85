"""The faults whose messages are golden: one folder each, with cluster.yaml and the message that it must give.

`make golden` (or `python -m tests.errors.cases` for these alone) writes the messages anew, prints what changed and
fails where anything did.
"""

import difflib
import sys
from pathlib import Path

from generator.errors import SpecError
from generator.spec import load_text

FOLDER = Path(__file__).parent


def faults() -> list[str]:
    return sorted(path.parent.name for path in FOLDER.glob("*/cluster.yaml"))


def message(fault: str) -> str:
    folder = FOLDER / fault

    def beside(path: str) -> bytes | None:
        file = folder / path
        return file.read_bytes() if file.is_file() else None

    try:
        load_text(
            (folder / "cluster.yaml").read_bytes(), name="prod", file="clusters/prod/cluster.yaml", read_file=beside
        )
    except SpecError as error:
        return f"{error}\n"
    return ""


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
