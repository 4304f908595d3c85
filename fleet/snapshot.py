"""A snapshot of etcd on the operator's machine: read, opened where it is encrypted, and proved to be whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from generator.errors import RefusedError, WorkspaceError
from generator.sealing import Identity, opened

_AGE = (b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----")
_PAGE = 512
"""etcd's databases are of whole pages, so the hash behind one stands out of a multiple of this."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is to be restored, in memory. `cluster` and `revision` are "" and 0 where no description lies beside it."""

    name: str
    content: bytes = field(repr=False)
    cluster: str = ""
    revision: int = 0
    time: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the database with its hash, in hex."""
        return hashlib.sha256(self.content).hexdigest()


def read_snapshot(path: Path, identity: Callable[[], Identity]) -> Snapshot:
    """Return a snapshot; `identity` is asked for only where it is encrypted.

    Raises WorkspaceError where it cannot be read, SealingError where it does not open, RefusedError where it is not
    what its own hash or its description says.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WorkspaceError(f"--snapshot {path}: it cannot be read ({error.strerror}); name the file") from None
    if content.startswith(_AGE):
        content = opened(content, identity(), str(path))
    if len(content) % _PAGE != hashlib.sha256().digest_size:
        raise RefusedError(
            f"{path.name}: it does not end with its hash, as what `etcdctl snapshot save` writes does: it is cut off, "
            "or a copy of a member's database; take another one"
        )
    body = memoryview(content)[:-32]
    if hashlib.sha256(body).digest() != content[-32:]:
        raise RefusedError(f"{path.name}: its own hash says that it was changed or damaged; take another one")
    snapshot = Snapshot(path.name, content)
    beside = path.with_name(f"{path.name.removesuffix('.age').removesuffix('.db')}.json")
    return _described(snapshot, beside) if beside.is_file() else snapshot


def _described(snapshot: Snapshot, path: Path) -> Snapshot:
    try:
        found = json.loads(path.read_text("utf-8"))
        digest, cluster, revision, time = (
            str(found["snapshotSHA256"]), str(found["cluster"]), int(found["revision"]), str(found["time"]),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        raise RefusedError(
            f"{path.name}: the description beside the snapshot cannot be read; take it away, or fetch it anew"
        ) from None
    if digest != snapshot.digest:
        raise RefusedError(f"{snapshot.name}: it is not the one that {path.name} describes; fetch both anew")
    return Snapshot(snapshot.name, snapshot.content, cluster, revision, time)
