"""What a golden case keeps of a tree that is much like another, and how two sets of files differ."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence

VANISHED = "vanished.txt"


def differing(files: Mapping[str, bytes], base: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files that are new or other than the base's, and in vanished.txt the names of those that went."""
    changed = {path: content for path, content in files.items() if base.get(path) != content}
    found = dict(_kept(path, content, base.get(path)) for path, content in changed.items())
    vanished = sorted(base.keys() - files.keys())
    return {**found, VANISHED: "".join(f"{path}\n" for path in vanished).encode()} if vanished else found


def differences(expected: Mapping[str, bytes], actual: Mapping[str, bytes]) -> list[str]:
    """Return a unified diff of two sets of files; missing and extra files are in it."""
    lines: list[str] = []
    for path in sorted({*expected, *actual}):
        old, new = expected.get(path), actual.get(path)
        if old != new:
            before = [] if old is None else _lines(old)
            after = [] if new is None else _lines(new)
            states = ("missing" if old is None else "golden", "gone" if new is None else "now")
            lines.extend(
                difflib.unified_diff(before, after, f"{path} ({states[0]})", f"{path} ({states[1]})", lineterm="")
            )
            if not before and not after:
                lines.append(f"{path}: {states[0]}, {states[1]}, empty")
    return lines


def _kept(path: str, content: bytes, base: bytes | None) -> tuple[str, bytes]:
    """Return what a variation keeps of a file: all of it, or its hunks where they are less than half of it."""
    lines = _lines(content)
    if base is not None and len(hunks := _hunks(_lines(base), lines)) * 2 < len(lines):
        return f"{path}.diff", "".join(f"{line}\n" for line in hunks).encode()
    return path, content


def _lines(content: bytes) -> list[str]:
    """Return the lines of a text; of a package, which is none, its digest."""
    if b"\0" in content:
        return [f"not text; sha256 {hashlib.sha256(content).hexdigest()}"]
    return content.decode().splitlines()


def _hunks(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Return what differs, with a line around it and the last line before it that begins a section.

    There are no numbers of lines, so that a hunk stays as it is when the base changes elsewhere.
    """
    lines: list[str] = []
    for group in difflib.SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(1):
        above = (line for line in reversed(after[: group[0][3]]) if line[:1] not in {"", " ", "#", "}"})
        lines.append(f"@@ {next(above, '')}".rstrip())
        for tag, old, old_end, new, new_end in group:
            if tag == "equal":
                lines += [f" {line}" for line in before[old:old_end]]
            else:
                lines += [f"-{line}" for line in before[old:old_end]] + [f"+{line}" for line in after[new:new_end]]
    return lines
