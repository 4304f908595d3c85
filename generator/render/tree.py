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
    waiting = [(os.fspath(folder), "")]
    # Paths as plain text: with a Path for each file, comparing a large tree takes longer than rendering it.
    while waiting:
        directory, prefix = waiting.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.is_symlink():
                    found[name] = b"\0symbolic link to " + os.fsencode(os.readlink(entry.path))
                elif entry.is_dir():
                    waiting.append((entry.path, f"{name}/"))
                elif entry.is_file():
                    found[name] = _content(entry.path)
    return dict(sorted(found.items()))


def _content(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.readall()


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
    fresh.chmod(0o755)
    made = {""}
    for name in sorted(tree):
        directory = name.rpartition("/")[0]
        if directory not in made:
            _make(fresh, directory, made)
        descriptor = os.open(f"{fresh}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o644)
            file.write(tree[name])


def _make(fresh: Path, directory: str, made: set[str]) -> None:
    """Make a folder of the tree and those above it, unless `made` has them."""
    above = directory.rpartition("/")[0]
    if above not in made:
        _make(fresh, above, made)
    path = f"{fresh}/{directory}"
    os.mkdir(path)
    os.chmod(path, 0o755)
    made.add(directory)


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
