"""Units as `systemctl show` tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fleet.state import UnitFacts

_PROPERTIES = (
    "Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "NRestarts", "Type", "NeedDaemonReload",
    "FragmentPath", "DropInPaths",
)  # fmt: skip
SHOW = f"--property={','.join(_PROPERTIES)}"
"""What to ask `systemctl show` for, so that `unit_blocks` understands it."""


def unit_blocks(text: str) -> Mapping[str, UnitFacts]:
    """Return the units in the plain output of `systemctl show`."""
    return units_of(text.splitlines())


def shown_blocks(lines: Iterable[str]) -> Iterator[Mapping[str, str]]:
    """Yield the properties of each unit in the lines of `systemctl show`, which parts units by empty lines."""
    block: dict[str, str] = {}
    for line in [*lines, ""]:
        if line:
            name, _, value = line.partition("=")
            block[name] = value
        elif block:
            yield block
            block = {}


def units_of(lines: Iterable[str]) -> dict[str, UnitFacts]:
    """Return the units in the lines of `systemctl show`, by name."""
    found: dict[str, UnitFacts] = {}
    for block in shown_blocks(lines):
        restarts = block.get("NRestarts", "0")
        found[block.get("Id", "")] = UnitFacts(
            load=block.get("LoadState", ""),
            active=block.get("ActiveState", ""),
            sub=block.get("SubState", ""),
            enabled=block.get("UnitFileState", ""),
            restarts=int(restarts) if restarts.isdigit() else 0,
            type=block.get("Type", ""),
            needs_reload=block.get("NeedDaemonReload") == "yes",
            fragment=block.get("FragmentPath", ""),
            drop_ins=tuple(block.get("DropInPaths", "").split()),
        )
    return found
