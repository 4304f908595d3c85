"""`invoke lock` from the network: what a mirror holds or official checksum files state becomes a lock."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.artifact_sources import digests_and_sizes, published_digests
from generator.artifacts_lock import Artifact, ArtifactLock, Locked
from generator.spec.artifacts import checksum_url, official_url

OFFICIAL = "official"


def lock_from_mirror(source: str, needed: Sequence[Artifact]) -> ArtifactLock:
    """Return the lock of artifacts from a mirror's URL, read whole, or from the official checksum files ("official").

    A checksum file tells no size, so its entries have size 0. Raises ArtifactError.
    """
    if source == OFFICIAL:
        places = [_published_place(artifact) for artifact in needed]
        digests = published_digests(places)
        found = [(digest, 0) for digest in digests]
    else:
        found = digests_and_sizes([f"{source.rstrip('/')}/{artifact.path}" for artifact in needed])
    kind = "checksum-file" if source == OFFICIAL else "mirror"
    return ArtifactLock(
        {
            artifact: Locked(sha256, size, kind, artifact.path)
            for artifact, (sha256, size) in zip(needed, found, strict=True)
        }
    )


def _published_place(artifact: Artifact) -> tuple[str, str]:
    words = (artifact.name, artifact.version, artifact.arch)
    return checksum_url(*words), official_url(*words).rpartition("/")[2]
