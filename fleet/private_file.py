"""Files of the operator that nobody else may read."""

from __future__ import annotations

import os
from pathlib import Path

from generator.errors import RefusedError


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read; one that is there is replaced in one step. Raises RefusedError."""
    new = path.with_name(f".{path.name}.slipway")
    try:
        new.unlink(missing_ok=True)
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        new.rename(path)
    except OSError as error:
        raise RefusedError(
            f"{path}: it cannot be written ({(error.strerror or str(error)).lower()}); name another path"
        ) from None
