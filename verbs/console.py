"""What verbs print: one console for people, plain text where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str = "", style: str = "") -> None:
    """Print a line as it is, markup characters included; `style` shows on a terminal only."""
    out.print(Text(text, style=style))


def tell(text: str) -> None:
    """Print a line as it is on standard error."""
    err.print(Text(text))


def warn(text: str) -> None:
    """Print a warning on standard error."""
    err.print(Text(f"warning: {text}", style="yellow"))


def raw(text: str) -> None:
    """Write text to standard output byte for byte, for other programs to read."""
    sys.stdout.write(text)


def diff(text: str) -> None:
    """Print a unified diff, coloured on a terminal."""
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for line in text.splitlines():
        style = "bold" if line.startswith(("+++", "---")) else styles.get(line[:1], "")
        out.print(Text(line, style=style))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings, aligned; nothing is cut, and without a terminal each row is one line."""
    cells = [tuple(headings), *(tuple(row) for row in rows)]
    if not out.is_terminal:
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            raw("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")
        return
    shown = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for column in shown.columns:
        column.overflow = "fold"
    for row in cells[1:]:
        shown.add_row(*(Text(cell) for cell in row))
    out.print(shown)


def tree(folder: Path, depth: int) -> None:
    """Print a folder as a tree, `depth` levels down; what lies deeper is counted."""
    root = Tree(f"{folder.parent.name}/{folder.name}")
    _grow(root, folder, depth)
    out.print(root)


def _grow(branch: Tree, folder: Path, depth: int) -> None:
    for path in sorted(folder.iterdir()):
        if path.is_file():
            branch.add(Text(path.name))
        elif depth > 1:
            _grow(branch.add(Text(f"{path.name}/")), path, depth - 1)
        else:
            count = sum(1 for below in path.rglob("*") if below.is_file())
            branch.add(Text(f"{path.name}/ ({count} file{'s' if count != 1 else ''})"))
