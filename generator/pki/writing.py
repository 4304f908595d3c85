"""Files written together: all beside their places first, then renamed in order, so that none is ever half written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from generator.errors import PkiError
from generator.sealing import shown

SUFFIX = ".slipway"


@dataclass
class Changes:
    """Changes that take place in `write`, in the order in which they were asked for; removals come last."""

    _texts: dict[Path, str] = field(default_factory=dict)
    _steps: list[Callable[[], None]] = field(default_factory=list)
    _removals: list[Path] = field(default_factory=list)

    def put(self, path: Path, text: str) -> None:
        """Write a file, in place of what is there."""
        self._texts[path] = text
        self._steps.append(lambda: os.replace(_sibling(path), path))

    def replace_pair(self, key_path: Path, key: str, certificate_path: Path, certificate: str) -> None:
        """Write a key and its certificate so that at no moment a key lies beside the certificate of another."""
        self._steps.append(lambda: certificate_path.unlink(missing_ok=True))
        self.put(key_path, key)
        self.put(certificate_path, certificate)

    def remove(self, path: Path) -> None:
        """Remove a file, and the folders that this leaves empty."""
        self._removals.append(path)

    def write(self) -> None:
        """Make all changes; on an error before the first rename nothing has changed. Raises PkiError."""
        try:
            for path, text in self._texts.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                with open(_sibling(path), "w", encoding="utf-8", newline="\n") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
            for step in self._steps:
                step()
            for path in self._removals:
                path.unlink(missing_ok=True)
                _remove_empty(path.parent)
        except OSError as error:
            where = shown(Path(error.filename)) if error.filename else "clusters/"
            raise PkiError(f"{where}: cannot be written ({error.strerror}); correct that and run again") from error
        finally:
            for path in self._texts:
                with contextlib.suppress(OSError):
                    _sibling(path).unlink(missing_ok=True)
            self._texts.clear()
            self._steps.clear()
            self._removals.clear()


def _sibling(path: Path) -> Path:
    return path.with_name(f".{path.name}{SUFFIX}")


def _remove_empty(folder: Path) -> None:
    while folder.name not in {"hosts", "pki"}:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
