"""Where rules put what they find: faults, which stop, and warnings, which are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from generator.errors import Fault
from generator.spec.yaml_source import Document, Path

ReadFile = Callable[[str], bytes | None]
"""Returns the content of a file by its path relative to cluster.yaml, or None where there is no such file."""


@dataclass(slots=True)
class Findings:
    """All that is wrong or doubtful in one cluster's input; `host_paths` says where each expanded host was written."""

    document: Document
    read_file: ReadFile
    faults: list[Fault] = field(default_factory=list)
    warnings: list[tuple[int, str]] = field(default_factory=list)
    host_paths: dict[str, Path] = field(default_factory=dict)

    def fault(self, path: Path, what: str, todo: str) -> None:
        """Add a fault at a path of the file."""
        self.faults.append(self.document.fault(path, what, todo))

    def warn(self, path: Path, what: str, todo: str) -> None:
        """Add a warning at a path of the file."""
        fault = self.document.fault(path, what, todo)
        self.warnings.append((fault.line, str(fault)))

    def warning_texts(self) -> tuple[str, ...]:
        """Return the warnings in the order of the file, each once."""
        return tuple(dict.fromkeys(text for _, text in sorted(self.warnings)))
