"""A workspace outside the repository with one small cluster and an identity of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from generator.formats.merge import Layer, merged
from generator.render import Report, check, render_cluster, rendered_dir
from generator.render.tree import read_tree
from generator.sealing import Identity, create_identity, load_identity

NOW = datetime(2030, 5, 17, 12, 30, tzinfo=UTC)

SPEC: dict[str, Any] = {
    "apiVersion": "slipway.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "prod"},
    "versions": {"kubernetes": "1.36.1"},
    "network": {"plugin": "bridge", "podCIDR": "10.244.0.0/16", "serviceCIDR": "10.96.0.0/16"},
    "pools": {"control": {"roles": ["etcd", "control-plane"]}, "workers": {"roles": ["worker"]}},
    "hosts": {
        "cp1": {"pool": "control", "address": "10.0.0.1", "podSubnet": "10.244.1.0/24"},
        "w1": {"pool": "workers", "address": "10.0.1.1", "podSubnet": "10.244.11.0/24"},
        "w2": {"pool": "workers", "address": "10.0.1.2", "podSubnet": "10.244.12.0/24"},
    },
}


class Workspace:
    """Edits cluster.yaml, renders, and looks at what lies there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inputs.mkdir(parents=True)
        (root / "home").mkdir()
        public = create_identity(root / "home" / "identity")
        (self.inputs / "recipients.txt").write_text(f"# throwaway\n{public}\n")
        self.edit({})

    @property
    def inputs(self) -> Path:
        return self.root / "clusters" / "prod"

    @property
    def rendered(self) -> Path:
        return rendered_dir(self.root, "prod")

    def edit(self, patch: dict[str, Any]) -> None:
        spec = merged([Layer("spec", SPEC), Layer("patch", patch)]).values
        (self.inputs / "cluster.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))

    def identity(self) -> Identity:
        return load_identity({"SLIPWAY_IDENTITY": str(self.root / "home" / "identity")})

    def render(self) -> Report:
        return render_cluster(self.root, "prod", clock=lambda: NOW, identity=self.identity)

    def check(self) -> list[str]:
        return check(self.root, "prod")

    def tree(self) -> dict[str, bytes]:
        return read_tree(self.rendered)
