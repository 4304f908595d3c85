"""Where the lab keeps what is slow to make, and how an entry comes into being whole or not at all."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_root() -> Path:
    """Return the cache directory: SLIPWAY_CACHE, else ``slipway`` in the user's cache directory."""
    chosen = os.environ.get("SLIPWAY_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "slipway"


def lab_root() -> Path:
    """Return the part of the cache directory that belongs to the lab, made when it is missing."""
    root = cache_root() / "lab"
    root.mkdir(parents=True, exist_ok=True)
    return root


def entry_path(name: str, recipe: object) -> Path:
    """Return where an entry of this name made by this recipe lies, whether or not it exists.

    The recipe is anything that JSON can hold; another recipe means another path, so that an entry
    made in another way is never taken for this one.
    """
    text = json.dumps(recipe, sort_keys=True)
    return lab_root() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@contextmanager
def made_whole(path: Path) -> Iterator[Path]:
    """Yield an empty directory that becomes ``path`` when the block ends without an error.

    The directory lies beside ``path``, hence on its file system, and vanishes on an error. When
    somebody else made ``path`` in the meantime, theirs stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    work.chmod(0o755)
    try:
        yield work
        if not path.exists():
            work.rename(path)
    finally:
        shutil.rmtree(work, ignore_errors=True)
