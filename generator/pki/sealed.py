"""The sealed secrets of a cluster as a list: name, id, file and how many can open it; nothing is opened for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from generator.errors import PkiError, RenderError
from generator.pki.rekey import sealed_files
from generator.pki.store import PkiStore
from generator.sealing import shown
from generator.sealing.stanzas import stanzas


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """One sealed secret; `name` as in manifests ("pki/ca", "encryption/1"), `id` "" where nothing beside it tells.

    `recipients` is the number of keys that open the file.
    """

    name: str
    id: str
    file: str
    recipients: int


def sealed_secrets(cluster_dir: Path) -> tuple[SealedSecret, ...]:
    """Return what is sealed, by file; raises SealingError for a file that is no sealed one."""
    store = PkiStore(cluster_dir)
    found = []
    for path in sealed_files(cluster_dir):
        name = secret_name(cluster_dir, path)
        try:
            identifier = store.secret_id(name)
        except (RenderError, PkiError):
            identifier = ""
        text = path.read_text("utf-8", "replace")
        found.append(SealedSecret(name, identifier, shown(path), len(stanzas(text, shown(path)))))
    return tuple(found)


def secret_name(cluster_dir: Path, path: Path) -> str:
    """Return the name of the secret that lies sealed at a path; the inverse of `sealing.sealed_path`."""
    relative = path.relative_to(cluster_dir).as_posix()
    if relative.startswith("pki/"):
        return relative.removesuffix(".key.age")
    return relative.removeprefix("secrets/").removesuffix(".age")
