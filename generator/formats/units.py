"""systemd units as sections of keys, written the same way every time.

Sections come in systemd's customary order, keys in the order in which a component gives them; a list value gives one
line for each entry (systemd.unit(5)). Exec lines with arguments stand one argument per line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_SECTION_ORDER = ("Unit", "Service", "Socket", "Path", "Timer", "Mount", "Install")


def exec_line(program: str, words: Iterable[str]) -> str:
    """Return a command for an Exec key, one argument per line, each but the last with a trailing backslash.

    A percent sign is doubled, since systemd expands specifiers; words with spaces or quotes are quoted.
    """
    return " \\\n  ".join([program, *(_quoted(word) for word in words)])


def _quoted(word: str) -> str:
    text = word.replace("%", "%%")
    if any(char in text for char in " \t\"'\\;"):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return text


def unit_text(sections: Mapping[str, Mapping[str, Any]], comment: str = "") -> str:
    """Return the text of a unit file; `comment` becomes `#` lines on top."""
    lines = [f"# {line}" for line in comment.splitlines()]
    order = [*_SECTION_ORDER, *sorted(set(sections) - set(_SECTION_ORDER))]
    for name in order:
        section = sections.get(name)
        if not section:
            continue
        if lines:
            lines.append("")
        lines.append(f"[{name}]")
        for key, value in section.items():
            for one in value if isinstance(value, (list, tuple)) else (value,):
                lines.append(f"{key}={_value(one)}")
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
