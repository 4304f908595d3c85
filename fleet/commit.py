"""Which commit a rendered tree is of, as git tells it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Commit:
    """The git state of the tree: commit id, or "no git"; `clean` False where inputs or tree are not committed."""

    id: str
    clean: bool


def commit_of(*folders: Path) -> Commit:
    """Return the commit of the work tree that holds the folders, and whether they are committed as they are.

    Nothing is written: `git status` would freshen the index under a lock, and a run that is killed at that moment would
    leave index.lock behind, which every later command of the user stumbles over.
    """
    git = ["git", "--no-optional-locks", "-C", str(folders[0])]
    try:
        answer = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        status = subprocess.run(
            [*git, "status", "--porcelain", "--", *map(str, map(Path.resolve, folders))],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return Commit("no git", False)
    return Commit(answer.stdout.strip(), not status.stdout.strip())
