"""Slots `{{secret:<name>}}` in text: what they are called, and that each is written as fleet reads it."""

from __future__ import annotations

import re

from generator.errors import RenderError

_SLOT = re.compile(r"\{\{secret:([^}]*)\}\}")
_OPENING = "{{secret:"
_NAME = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")


def slot_names(place: str, text: str) -> tuple[str, ...]:
    """Return the names of a text's slots, sorted; raises RenderError for a slot that is not well written."""
    names = _SLOT.findall(text)
    bad = [name for name in names if not _NAME.fullmatch(name)]
    if bad or text.count(_OPENING) != len(names):
        found = bad[0] if bad else "a slot without its end"
        raise RenderError(
            f"{place}: {found!r} is no slot; write {{{{secret:<name>}}}} with the name of a sealed secret"
        )
    if not names:
        raise RenderError(f"{place}: a template without a slot; give it as plain text")
    return tuple(sorted(set(names)))
