"""A workspace outside the repository with one cluster and a throwaway identity."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.formats.merge import Layer, merged
from generator.pki.issue import IssueReport, issue
from generator.pki.store import PkiStore
from generator.sealing import Identity, create_identity, load_identity
from generator.spec import load
from generator.spec.model import Cluster

NOW = datetime(2030, 5, 17, 12, 30, 15, 123456, tzinfo=UTC)

SPEC: dict[str, Any] = {
    "apiVersion": "slipway.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "prod"},
    "versions": {"kubernetes": "1.36.1"},
    "network": {"podCIDR": "10.244.0.0/16", "serviceCIDR": "10.96.0.0/16"},
    "pools": {"control": {"roles": ["etcd", "control-plane"]}, "workers": {"roles": ["worker"]}},
    "hosts": {
        "cp-1": {"pool": "control", "address": "10.0.0.1"},
        "worker-1": {"pool": "workers", "address": "10.0.1.1"},
    },
}


@dataclass
class Workspace:
    """Edits cluster.yaml, issues, and looks at what lies there."""

    root: Path
    patch: dict[str, Any] = field(default_factory=dict)
    now: datetime = NOW
    asked: int = 0

    @property
    def dir(self) -> Path:
        return self.root / "clusters" / "prod"

    @property
    def identity_file(self) -> Path:
        return self.root / "home" / "identity"

    def edit(self, patch: dict[str, Any]) -> Cluster:
        """Lay a patch over the spec (null removes) and load it."""
        self.patch = patch
        spec = merged([Layer("spec", SPEC), Layer("patch", patch)]).values
        (self.dir / "cluster.yaml").write_text(yaml.safe_dump(spec))
        return load(self.root, "prod")

    @property
    def cluster(self) -> Cluster:
        return load(self.root, "prod")

    @property
    def store(self) -> PkiStore:
        return PkiStore(self.dir)

    def identity(self) -> Identity:
        self.asked += 1
        return load_identity({"SLIPWAY_IDENTITY": str(self.identity_file)})

    def issue(self, later: timedelta = timedelta()) -> IssueReport:
        return issue(self.cluster, self.dir, clock=lambda: self.now + later, identity=self.identity)

    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.dir).as_posix(): path.read_bytes()
            for path in sorted(self.dir.rglob("*"))
            if path.is_file() and path.name != "cluster.yaml"
        }


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    space = Workspace(tmp_path)
    space.dir.mkdir(parents=True)
    public = create_identity(space.identity_file)
    (space.dir / "recipients.txt").write_text(f"# throwaway\n{public}\n")
    space.edit({})
    return space

    def refuse() -> Identity:
        raise AssertionError("an identity was asked for")

    return refuse
