"""systemd units as sections of keys, written the same way every time.

Sections come in systemd's customary order, keys in the order in which a component gives them; a list value gives one
line for each entry (systemd.unit(5)). Exec lines with arguments stand one argument per line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_PLAIN = re.compile("[A-Za-z0-9:_.]")
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


def escaped_path(path: str) -> str:
    """Return an absolute path as the name of a unit holds it, as `systemd-escape --path` does (systemd.unit(5))."""
    plain = "/".join(part for part in path.split("/") if part)
    if not plain:
        return "-"
    return "".join(
        "-" if char == "/" else char if _PLAIN.fullmatch(char) and (index or char != ".") else _hexadecimal(char)
        for index, char in enumerate(plain)
    )


def _hexadecimal(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode())


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
