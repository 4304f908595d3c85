"""What is published without a file of digests is read whole; all else by the digests that are published."""

from __future__ import annotations

import pytest

from generator.artifacts_lock import Artifact
from generator.spec.artifacts import official_url
from verbs import locking


def test_age_is_read_where_others_state_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def whole(urls: list[str]) -> list[tuple[str, int]]:
        read.extend(urls)
        return [("b" * 64, 7) for _ in urls]

    monkeypatch.setattr(locking, "published_digests", lambda places: ["a" * 64 for _ in places])
    monkeypatch.setattr(locking, "digests_and_sizes", whole)
    age, runc = Artifact("age", "1.2.1", "amd64"), Artifact("runc", "1.2.2", "amd64")
    entries = locking.lock_from_mirror(locking.OFFICIAL, [age, runc]).entries
    assert read == [official_url("age", "1.2.1", "amd64")]
    assert (entries[age].sha256, entries[age].size, entries[age].source) == ("b" * 64, 7, "mirror")
    assert (entries[runc].sha256, entries[runc].size, entries[runc].source) == ("a" * 64, 0, "checksum-file")
