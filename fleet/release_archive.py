"""What a host gets of a release: one tar archive of the artifact, the unit and the environment, and its digest.

The same content gives the same bytes, so a release that is there already is known by its digest.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from generator.errors import RefusedError

OURS = ".slipway"
"""Folder in a release for what is not the project's own."""


def archive(artifact: Path, files: Mapping[str, str], into: Path) -> str:
    """Write the archive of a release and return its SHA-256.

    `artifact` is a file, or a folder whose content is meant, `files` are texts by name that stand beside it. Raises
    RefusedError for an artifact that is not there, cannot be read whole, or holds what cannot be on another host.
    """
    try:
        with tarfile.open(into, "w", format=tarfile.PAX_FORMAT) as tar:
            _folder(tar, OURS)
            for name, text in sorted(files.items()):
                _text(tar, f"{OURS}/{name}", text)
            for name, path in _entries(artifact):
                _entry(tar, name, path)
    except OSError as error:
        # One that shrinks while it is read has no words of the system's.
        what, why = error.filename or artifact, error.strerror or str(error)
        raise RefusedError(f"{what}: cannot be put into the release ({why}); mend that, then release again") from None
    except RuntimeError as error:
        # What pathlib raises for links that lead to one another.
        raise RefusedError(f"{artifact}: {str(error)[:1].lower()}{str(error)[1:]}; take the link out") from None
    return digest_of(into)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entries(artifact: Path) -> Iterator[tuple[str, Path]]:
    # A build may leave `app -> app-1.2`; what is meant is the program, by the name that the unit knows.
    real = artifact.resolve()
    if real.is_file():
        _ours_alone(artifact.name, artifact)
        yield artifact.name, real
        return
    if not real.is_dir():
        raise RefusedError(f"{artifact}: no such artifact; see what the build made, and build.artifact")
    for path in sorted(_below(real)):
        relative = path.relative_to(real)
        _ours_alone(relative.parts[0], path)
        # The history of the source is no part of what runs.
        if relative.parts[0] != ".git":
            yield relative.as_posix(), path


def _below(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise error

    # Not rglob, which passes over a folder that it may not read.
    for parent, folders, names in os.walk(folder, onerror=refuse):
        yield from (Path(parent, name) for name in (*folders, *names))


def _ours_alone(name: str, path: Path) -> None:
    if name == OURS:
        raise RefusedError(f"{path}: the name {OURS} is Slipway's own in a release; give it another")


def _entry(tar: tarfile.TarFile, name: str, path: Path) -> None:
    info = tarfile.TarInfo(name)
    if path.is_symlink():
        target = path.readlink()
        if target.is_absolute() or not (path.parent / target).resolve().is_relative_to(_top(name, path).resolve()):
            raise RefusedError(f"{path}: links to {target}, which is outside of the artifact; put what it means there")
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(target), 0o777
        tar.addfile(info)
    elif path.is_dir():
        _folder(tar, name)
    elif path.is_file():
        info.size = path.stat().st_size
        info.mode = 0o755 if path.stat().st_mode & 0o111 else 0o644
        with path.open("rb") as file:
            tar.addfile(info, file)
    else:
        raise RefusedError(f"{path}: is neither file, folder nor link; leave it out of the artifact")


def _top(name: str, path: Path) -> Path:
    return path.parents[name.count("/")]


def _folder(tar: tarfile.TarFile, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    tar.addfile(info)


def _text(tar: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode()
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o600
    tar.addfile(info, io.BytesIO(data))
