"""A rendered tree: files by path in memory, written to a folder as a whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from generator.errors import RenderError

Tree = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Changes:
    """Paths that writing a tree would add, change or remove, each sorted."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def lines(self) -> list[str]:
        """Return one line for each path: `+` added, `~` changed, `-` removed, in the order of paths."""
        marked = [*(("+", p) for p in self.added), *(("~", p) for p in self.changed), *(("-", p) for p in self.removed)]
        return [f"{mark} {path}" for mark, path in sorted(marked, key=lambda pair: pair[1])]


def put(tree: dict[str, bytes], files: Iterable[tuple[str, bytes]]) -> None:
    """Add files to a tree; raises RenderError where a path is taken or another file's folder."""
    for path, content in files:
        if path in tree:
            raise RenderError(f"{path}: two parts of the tree write it; report this as a defect")
        tree[path] = content


def read_tree(folder: Path) -> dict[str, bytes]:
    """Return what lies in a folder, by path; a symbolic link has odd content, so that it differs."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = b"\0symbolic link to " + os.fsencode(os.readlink(path))
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def changes(folder: Path, tree: Tree) -> Changes:
    """Compare a folder with a tree."""
    there = read_tree(folder) if folder.is_dir() else {}
    return Changes(
        tuple(sorted(tree.keys() - there.keys())),
        tuple(sorted(path for path in tree.keys() & there.keys() if tree[path] != there[path])),
        tuple(sorted(there.keys() - tree.keys())),
    )


def write(tree: Tree, folder: Path) -> Changes:
    """Make a folder hold exactly a tree and return what changed.

    The tree is written beside the folder and swapped in by two renames; whatever fails before leaves the folder as it
    was. Files are 0644 and folders 0755, whatever the umask. Nothing is touched where nothing changes.
    """
    difference = changes(folder, tree)
    if not difference and folder.is_dir():
        return difference
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.new-", dir=folder.parent))
    try:
        _fill(fresh, tree)
        _swap(fresh, folder)
    except OSError as error:
        what = f"the tree cannot be written ({error.strerror}: {error.filename})"
        raise RenderError(f"{folder.name}: {what}; the old one stands, make room or rights and run again") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return difference


def _fill(fresh: Path, tree: Tree) -> None:
    made: set[Path] = set()
    for name in sorted(tree):
        path = fresh / name
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        path.write_bytes(tree[name])
        path.chmod(0o644)
    for directory in {fresh, *(parent for path in made for parent in (path, *path.parents) if fresh in parent.parents)}:
        directory.chmod(0o755)


def _swap(fresh: Path, folder: Path) -> None:
    if not folder.exists():
        fresh.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old-", dir=folder.parent))
    aside = old / "tree"
    folder.rename(aside)
    try:
        fresh.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
