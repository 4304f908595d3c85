"""artifacts.lock: from what was read to the bill of materials, and nothing in between is believed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from generator.artifacts_lock import Artifact, ArtifactLock, Locked, lock_from_directory, lock_text, read_lock
from generator.errors import ArtifactError
from generator.pki.request_material import RequestMaterial
from generator.render.assembly import render
from generator.render.bom import needed_artifacts
from generator.spec.artifacts import PUBLICATIONS, checksum_url, mirror_path, official_url
from generator.spec.model import Cluster
from tests.golden.cases import cluster
from tests.render.small import small_cluster

KUBELET = Artifact("kubelet", "1.36.1", "amd64")
RUNC = Artifact("runc", "1.3.4", "amd64")


def _directory(root: Path, *artifacts: Artifact) -> Path:
    for artifact in artifacts:
        path = root / artifact.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(str(artifact).encode())
    return root


def test_a_directory_is_read_and_the_lock_reads_back(tmp_path: Path) -> None:
    lock = lock_from_directory(_directory(tmp_path, KUBELET, RUNC), [RUNC, KUBELET, RUNC])
    content = str(KUBELET).encode()
    assert lock.get(KUBELET) == Locked(hashlib.sha256(content).hexdigest(), len(content), "directory", KUBELET.path)
    (tmp_path / "artifacts.lock").write_text(lock_text(lock))
    assert read_lock(tmp_path) == lock
    assert lock_text(read_lock(tmp_path)) == lock_text(lock)


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"runc/v1\.3\.4/runc\.amd64.*kubelet not there|kubelet, runc/.* not there"):
        lock_from_directory(tmp_path, [KUBELET, RUNC])


def test_no_file_is_an_empty_lock(tmp_path: Path) -> None:
    assert read_lock(tmp_path) == ArtifactLock()


GOOD = {
    "name": "runc",
    "version": "1.3.4",
    "arch": "amd64",
    "path": "x",
    "sha256": "0" * 64,
    "size": 1,
    "source": "mirror",
}


@pytest.mark.parametrize(
    "document",
    [
        "][",
        "text",
        "artifacts: {}",
        "artifacts: [1]",
        yaml.safe_dump({"artifacts": [{**GOOD, "sha256": "0" * 63}]}),
        yaml.safe_dump({"artifacts": [{**GOOD, "size": -1}]}),
        yaml.safe_dump({"artifacts": [{**GOOD, "size": True}]}),
        yaml.safe_dump({"artifacts": [{**GOOD, "source": "memory"}]}),
        yaml.safe_dump({"artifacts": [{**GOOD, "version": 1.2}]}),
        yaml.safe_dump({"artifacts": [{**GOOD, "note": "x"}]}),
        yaml.safe_dump({"artifacts": [GOOD, GOOD]}),
    ],
)
def test_a_lock_that_lock_did_not_write_is_one_clear_error(tmp_path: Path, document: str) -> None:
    (tmp_path / "artifacts.lock").write_text(document)
    with pytest.raises(ArtifactError, match=r"artifacts\.lock: .*; "):
        read_lock(tmp_path)


def _bom(model: Cluster, lock: ArtifactLock) -> dict[str, dict[str, object]]:
    text = render(model, RequestMaterial(model), lock, Path("nowhere"))["bom.yaml"]
    return {entry["name"]: entry for entry in yaml.safe_load(text)["artifacts"]}


def test_the_bill_of_materials_shows_what_is_locked_and_what_is_not() -> None:
    model = small_cluster()
    listed = _bom(model, ArtifactLock({KUBELET: Locked("a" * 64, 7, "mirror", KUBELET.path)}))
    assert listed["kubelet"] == {
        "name": "kubelet",
        "version": "1.36.1",
        "arch": "amd64",
        "url": "https://dl.k8s.io/v1.36.1/bin/linux/amd64/kubelet",
        "sha256": "a" * 64,
        "size": 7,
    }
    assert listed["runc"]["sha256"] == "unlocked" and "size" not in listed["runc"]


def test_a_mirror_takes_the_place_of_the_official_downloads() -> None:
    listed = _bom(cluster("ha"), ArtifactLock())
    assert listed["kubelet"]["url"] == f"https://mirror.example.net/slipway/{mirror_path('kubelet', '1.36.1', 'amd64')}"


def test_what_a_cluster_needs_is_known_before_anything_is_issued() -> None:
    assert {artifact.name for artifact in needed_artifacts(cluster("ha"))} == set(PUBLICATIONS) - {"age"}


def test_publications_name_version_and_architecture() -> None:
    for name in PUBLICATIONS:
        for text in (mirror_path(name, "1.2.3", "arm64"), official_url(name, "1.2.3", "arm64")):
            assert "1.2.3" in text and "arm64" in text and "{" not in text
        # age publishes no digests.
        assert checksum_url(name, "1.2.3", "arm64").startswith("https://") or name == "age"
