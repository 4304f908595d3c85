"""Where the bytes of binaries come from: a folder, a URL read by the operator's machine, or the host's own download."""

from __future__ import annotations

import asyncio
import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from fleet.tree import UNLOCKED, Artifact, RenderedTree
from generator.errors import ArtifactError

_CHUNK = 1 << 18


class ArtifactSource:
    """Gives the proved bytes of artifacts.

    `folder` is laid out like a mirror (artifacts.lock says each path); without it, or where it lacks a file, the
    operator's machine reads the URL of bom.yaml into its cache, once.
    """

    def __init__(
        self, tree: RenderedTree, cluster_dir: Path, folder: Path | None = None, cache: Path | None = None
    ) -> None:
        self._cluster = tree.cluster
        self._folder = folder
        self._cache = (
            cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway" / "artifacts"
        )
        self._paths = _locked_paths(cluster_dir / "artifacts.lock")
        self._proved: dict[str, asyncio.Task[Path]] = {}

    async def file(self, artifact: Artifact) -> Path:
        """Return a local file with the artifact's bytes, its digest proved in this run.

        Raises ArtifactError where it is not locked, nowhere to be had, or has another digest.
        """
        require_locked(self._cluster, artifact)
        task = self._proved.get(artifact.sha256)
        if task is None:
            task = asyncio.ensure_future(asyncio.to_thread(self._found, artifact))
            self._proved[artifact.sha256] = task
        return await asyncio.shield(task)

    def _found(self, artifact: Artifact) -> Path:
        locked = self._paths.get((artifact.name, artifact.version, artifact.arch), "")
        if self._folder is not None and locked and (self._folder / locked).is_file():
            return self._with_digest(self._folder / locked, artifact)
        cached = self._cache / artifact.sha256
        if cached.is_file():
            return self._with_digest(cached, artifact)
        if self._folder is not None:
            raise ArtifactError(
                f"{self._cluster}: {artifact.name} {artifact.version} {artifact.arch}: "
                f"{self._folder}/{locked or artifact.name} is not there; put it there or run `invoke lock`"
            )
        return self._downloaded(artifact, cached)

    def _downloaded(self, artifact: Artifact, cached: Path) -> Path:
        cached.parent.mkdir(parents=True, exist_ok=True)
        part = cached.with_suffix(f".{os.getpid()}")
        try:
            with urllib.request.urlopen(artifact.url, timeout=60) as answer, part.open("wb") as file:
                while chunk := answer.read(_CHUNK):
                    file.write(chunk)
            self._with_digest(part, artifact)
            part.replace(cached)
        except (OSError, ValueError, urllib.error.URLError) as error:
            raise ArtifactError(
                f"{self._cluster}: {artifact.name} {artifact.version}: {artifact.url} cannot be read "
                f"({error}); name a folder of binaries with --source, or set artifacts.mirror in the spec"
            ) from None
        finally:
            part.unlink(missing_ok=True)
        return cached

    def _with_digest(self, path: Path, artifact: Artifact) -> Path:
        total = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                total.update(chunk)
        if total.hexdigest() != artifact.sha256:
            raise ArtifactError(
                f"{self._cluster}: {artifact.name} {artifact.version} {artifact.arch}: {path.name} has "
                f"digest {total.hexdigest()}, artifacts.lock says {artifact.sha256}; find out which is right"
            )
        return path


def require_locked(cluster: str, artifact: Artifact) -> None:
    """Raise ArtifactError for an artifact without a digest."""
    if artifact.sha256 == UNLOCKED:
        raise ArtifactError(
            f"{cluster}: {artifact.name} {artifact.version} {artifact.arch} is not locked; run `invoke "
            f"lock`, review and commit artifacts.lock, then `invoke render`"
        )


def require_all_locked(cluster: str, artifacts: Iterable[Artifact]) -> None:
    """Raise ArtifactError that names every artifact without a digest."""
    open_ = [f"{one.name} {one.version} {one.arch}" for one in artifacts if one.sha256 == UNLOCKED]
    if open_:
        raise ArtifactError(
            f"{cluster}: {', '.join(sorted(open_))} {'is' if len(open_) == 1 else 'are'} not locked; run `invoke "
            f"lock`, review and commit artifacts.lock, then `invoke render`"
        )


async def chunks(path: Path) -> AsyncIterator[bytes]:
    """Yield a file in pieces, read beside the event loop."""
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk


def _locked_paths(lock: Path) -> Mapping[tuple[str, str, str], str]:
    try:
        document: Any = yaml.safe_load(lock.read_text("utf-8")) if lock.is_file() else {}
        entries = (document or {}).get("artifacts") or ()
        return {
            (str(entry["name"]), str(entry["version"]), str(entry["arch"])): str(entry.get("path", ""))
            for entry in entries
        }
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{lock.parent.name}: artifacts.lock cannot be read ({error!r}); run `invoke lock`"
        ) from None
