"""clusters/<c>/artifacts.lock: the digest and size of every artifact, from what was really read.

Only `invoke lock` writes it, from a directory (here), a mirror or published checksum files (fleet.artifact_sources);
no digest is ever written from memory. The artifacts that a cluster needs follow from what its hosts are to have.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from generator.errors import ArtifactError
from generator.formats.yaml_text import yaml_line
from generator.spec.artifacts import mirror_path

LOCK_FILE = "artifacts.lock"
SOURCES = ("directory", "mirror", "checksum-file")
UNLOCKED = "unlocked"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_BLOCK = 1 << 20
_KEYS = ("name", "version", "arch", "path", "sha256", "size", "source")
_HEADER = "# written by slipway lock from what it read; commit it\n"


@dataclass(frozen=True, slots=True, order=True)
class Artifact:
    """One artifact as a host fetches it: a key of the lock."""

    name: str
    version: str
    arch: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.arch})"

    @property
    def path(self) -> str:
        """Where it lies below the root of a mirror or directory."""
        return mirror_path(self.name, self.version, self.arch)


@dataclass(frozen=True, slots=True)
class Locked:
    """What is known of an artifact: SHA-256 in hex, size in bytes (0 where a checksum file does not tell it)."""

    sha256: str
    size: int
    source: str
    path: str


@dataclass(frozen=True, slots=True)
class ArtifactLock:
    """A cluster's lock; empty where it has none."""

    entries: Mapping[Artifact, Locked] = field(default_factory=dict)

    def get(self, artifact: Artifact) -> Locked | None:
        """Return what is locked for an artifact, None where it is not."""
        return self.entries.get(artifact)


def read_lock(cluster_dir: Path) -> ArtifactLock:
    """Read a cluster's lock, empty where there is no file; raises ArtifactError for one that `lock` did not write."""
    path = cluster_dir / LOCK_FILE
    where = f"{cluster_dir.name}: {LOCK_FILE}"
    try:
        document = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        return ArtifactLock()
    except (OSError, yaml.YAMLError) as error:
        raise ArtifactError(
            f"{where}: cannot be read ({type(error).__name__}); restore it from git or run `invoke lock`"
        ) from None
    entries: dict[Artifact, Locked] = {}
    for entry in _entries(where, document):
        artifact, locked = _entry(where, entry)
        if artifact in entries:
            raise ArtifactError(f"{where}: {artifact} is listed twice; keep the right one or run `invoke lock`")
        entries[artifact] = locked
    return ArtifactLock(entries)


def lock_text(lock: ArtifactLock) -> str:
    """Return a lock as the text of its file, sorted, one line for each artifact."""
    lines = [f"{_HEADER}artifacts:"]
    for artifact, locked in sorted(lock.entries.items()):
        values = (
            artifact.name,
            artifact.version,
            artifact.arch,
            locked.path,
            locked.sha256,
            locked.size,
            locked.source,
        )
        lines.append(f"- {yaml_line(dict(zip(_KEYS, values, strict=True)))}")
    return "\n".join(lines) + "\n"


def lock_from_directory(directory: Path, artifacts: Iterable[Artifact]) -> ArtifactLock:
    """Read every artifact in a directory laid out like a mirror and return the lock.

    Raises ArtifactError that lists what is missing.
    """
    entries: dict[Artifact, Locked] = {}
    missing: list[str] = []
    for artifact in sorted(set(artifacts)):
        path = directory / artifact.path
        if not path.is_file():
            missing.append(artifact.path)
            continue
        with path.open("rb") as stream:
            sha256, size = digest_and_size(stream)
        entries[artifact] = Locked(sha256, size, "directory", artifact.path)
    if missing:
        raise ArtifactError(f"{directory}: {', '.join(missing)} not there; put the files in and lock again")
    return ArtifactLock(entries)


def digest_and_size(stream: BinaryIO) -> tuple[str, int]:
    """Return SHA-256 in hex and the number of bytes of a stream, read to its end."""
    digest, size = hashlib.sha256(), 0
    while block := stream.read(_BLOCK):
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size


def _entries(where: str, document: Any) -> Iterator[Mapping[str, Any]]:
    entries = document.get("artifacts") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ArtifactError(f"{where}: it is not a list of artifacts; restore it from git or run `invoke lock`")
    yield from entries


def _entry(where: str, entry: Mapping[str, Any]) -> tuple[Artifact, Locked]:
    name = entry.get("name", "an entry without a name")
    texts = [entry.get(key) for key in ("name", "version", "arch", "path", "sha256", "source")]
    size = entry.get("size")
    if set(entry) != set(_KEYS) or not all(isinstance(text, str) and text for text in texts):
        raise ArtifactError(f"{where}: {name}: it needs {', '.join(_KEYS)}, all but size as text; run `invoke lock`")
    if not _SHA256.fullmatch(entry["sha256"]):
        raise ArtifactError(f"{where}: {name}: sha256 is not 64 hex digits; run `invoke lock`")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0 or entry["source"] not in SOURCES:
        raise ArtifactError(f"{where}: {name}: size or source is not as `lock` writes it; run `invoke lock`")
    artifact = Artifact(entry["name"], entry["version"], entry["arch"])
    return artifact, Locked(entry["sha256"], size, entry["source"], entry["path"])
