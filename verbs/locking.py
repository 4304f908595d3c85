"""`invoke lock` from the network: what a mirror holds or official checksum files state becomes a lock."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.artifact_sources import digests_and_sizes, published_digests
from generator.artifacts_lock import Artifact, ArtifactLock, Locked
from generator.spec.artifacts import checksum_url, official_url

OFFICIAL = "official"


def lock_from_mirror(source: str, needed: Sequence[Artifact]) -> ArtifactLock:
    """Return the lock of artifacts from a mirror's URL, read whole, or from the official checksum files ("official").

    A checksum file tells no size, so its entries have size 0. What is published without one is read whole from its
    official address. Raises ArtifactError.
    """
    if source != OFFICIAL:
        return _read(needed, [f"{source.rstrip('/')}/{artifact.path}" for artifact in needed])
    stated = [artifact for artifact in needed if _published_place(artifact)[0]]
    others = [artifact for artifact in needed if artifact not in stated]
    digests = published_digests([_published_place(artifact) for artifact in stated])
    entries = {
        artifact: Locked(digest, 0, "checksum-file", artifact.path)
        for artifact, digest in zip(stated, digests, strict=True)
    }
    read = _read(others, [official_url(one.name, one.version, one.arch) for one in others])
    return ArtifactLock({**entries, **read.entries})


def _read(needed: Sequence[Artifact], urls: list[str]) -> ArtifactLock:
    found = digests_and_sizes(urls)
    return ArtifactLock(
        {
            artifact: Locked(sha256, size, "mirror", artifact.path)
            for artifact, (sha256, size) in zip(needed, found, strict=True)
        }
    )


def _published_place(artifact: Artifact) -> tuple[str, str]:
    words = (artifact.name, artifact.version, artifact.arch)
    return checksum_url(*words), official_url(*words).rpartition("/")[2]
