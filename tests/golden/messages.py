"""Golden messages: one folder for each faulty input, with message.txt, what it must give."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Messages:
    """The messages of the inputs called `name` below `folder`; `given` says which one the input of a folder gives.

    `shown` is how messages name the input.
    """

    folder: Path
    name: str
    shown: str
    given: Callable[[Path], str]

    def faults(self) -> list[str]:
        """Return the names of the folders."""
        return sorted(path.parent.name for path in self.folder.glob(f"*/{self.name}"))

    def message(self, fault: str) -> str:
        """Return the message that an input gives now."""
        return self.given(self.folder / fault)

    def everything(self) -> str:
        """Return all messages."""
        return "".join(self.message(fault) for fault in self.faults())

    def golden(self, fault: str) -> str:
        """Return the message that was written down, empty where none was."""
        path = self._path(fault)
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def update(self) -> bool:
        """Write every message anew and print what changed; returns whether one did."""
        changed = False
        for fault in self.faults():
            old, new = self.golden(fault), self.message(fault)
            if old != new:
                changed = True
                self._path(fault).write_text(new, encoding="utf-8")
                lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), fault, fault, n=0)
                sys.stdout.writelines(lines)
        return changed

    def callers(self, owner: type, *names: str) -> set[tuple[str, int]]:
        """Return file and line of each call of these methods while the messages are made."""
        seen: set[tuple[str, int]] = set()

        def noting(method: Callable[..., None]) -> Callable[..., None]:
            def noted(*arguments: Any) -> None:
                frame = sys._getframe(1)
                seen.add((Path(frame.f_code.co_filename).name, frame.f_lineno))
                method(*arguments)

            return noted

        with pytest.MonkeyPatch.context() as patch:
            for name in names:
                patch.setattr(owner, name, noting(getattr(owner, name)))
            self.everything()
        return seen

    def left_over(self) -> set[str]:
        """Return the names of folders with a message and no input, or an input and no message."""
        return {path.parent.name for path in self.folder.glob("*/message.txt")} ^ set(self.faults())

    def _path(self, fault: str) -> Path:
        return self.folder / fault / "message.txt"
