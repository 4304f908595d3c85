"""What the rules of project files find: faults, which stop, and warnings, which are shown."""

from __future__ import annotations

from dataclasses import dataclass, field

from generator.errors import Fault
from generator.spec.yaml_source import Document, Path


@dataclass(slots=True)
class Found:
    """What rules find. Nothing is said of a value that has a fault of its own, nor of a list that lost an entry."""

    document: Document
    cuts: tuple[Path, ...]
    faults: list[Fault] = field(default_factory=list)
    warnings: list[tuple[int, str]] = field(default_factory=list)

    told: set[tuple[str, Path]] = field(default_factory=set)

    def fault(self, path: Path, what: str, todo: str) -> None:
        """Add a fault at a path of the file."""
        if not any(path[: len(cut)] == cut for cut in self.cuts):
            self.faults.append(self.document.fault(path, what, todo))

    def fault_once(self, rule: str, path: Path, what: str, todo: str) -> None:
        """Add a fault unless the rule told one at this path already: what stands at the top counts everywhere."""
        if (rule, path) not in self.told:
            self.told.add((rule, path))
            self.fault(path, what, todo)

    def warn(self, path: Path, what: str, todo: str) -> None:
        """Add a warning at a path of the file."""
        fault = self.document.fault(path, what, todo)
        self.warnings.append((fault.line, str(fault)))

    def stands(self, path: Path) -> bool:
        """Return whether a path is written in the file."""
        return path in self.document.lines
