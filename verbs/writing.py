"""Text files that verbs write beside those of people: whole or not at all, in place of a link and never through one."""

from __future__ import annotations

import contextlib
from pathlib import Path

from generator.errors import WorkspaceError


def write_text(path: Path, text: str) -> None:
    """Write a text file, whatever stood there before; raises WorkspaceError where it cannot be written."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        with partial.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise WorkspaceError(
            f"{path}: cannot be written ({error.strerror}); give the folder room and rights, or name another"
        ) from None
