"""What a render would change, as a unified diff with equal changes folded together."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from generator.render.tree import Tree, changes, read_tree

_CONTEXT = 3
_OWN = re.compile(r"^(hosts)/([^/]+)/(.+)$|^(components/[^/]+)@([^/]+)/(.+)$")


def diff(folder: Path, tree: Tree) -> Iterator[str]:
    """Yield the lines of a unified diff from a folder to a tree.

    Where several hosts (or pools) change alike, the change stands once, under the names of all of them.
    """
    found = changes(folder, tree)
    old = read_tree(folder) if folder.is_dir() else {}
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for path in sorted({*found.added, *found.changed, *found.removed}):
        body = tuple(_body(old.get(path), tree.get(path)))
        place, owner = _place(path)
        alike[place, body].append(owner)
    for (place, body), owners in alike.items():
        shown = place.format(owners[0]) if len(owners) == 1 else place.format(f"{{{','.join(owners)}}}")
        yield f"--- rendered/{folder.name}/{shown}"
        yield f"+++ rendered/{folder.name}/{shown}"
        yield from body


def _place(path: str) -> tuple[str, str]:
    match = _OWN.match(path)
    if match is None:
        return path.replace("{", "{{").replace("}", "}}"), ""
    if match[1]:
        return "hosts/{}/" + match[3].replace("{", "{{").replace("}", "}}"), match[2]
    return match[4] + "@{}/" + match[6].replace("{", "{{").replace("}", "}}"), match[5]


def _body(old: bytes | None, new: bytes | None) -> Iterator[str]:
    before, after = _lines(old), _lines(new)
    if old is None:
        yield "new file"
    if new is None:
        yield "file vanishes"
    for number, line in enumerate(difflib.unified_diff(before, after, n=_CONTEXT, lineterm="")):
        if number > 1:
            yield line


def _lines(content: bytes | None) -> list[str]:
    if content is None:
        return []
    if b"\0" in content:
        return [f"not text; sha256 {hashlib.sha256(content).hexdigest()}"]
    return content.decode("utf-8", "replace").splitlines()
