"""The golden cases: whole trees of two clusters, and variations of which only the files that differ are kept.

    clusters/<c>/cluster.yaml, files/, addons.jsonnet    a cluster as people write it
    clusters/<c>/rendered/                               its whole tree
    variations/<behaviour>/case.yaml                     base (a cluster, minimal if not said), about, and a patch;
                                                         keys: where a rotation stands, the key that leads first
    variations/<behaviour>/rendered/                     the files that are new or other than the base's; one of which
                                                         most is as in the base is kept as <file>.diff: what differs
    variations/<behaviour>/vanished.txt                  the files of the base that it has not

Certificates appear as their requests, so that no PEM and no time stands in a golden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from generator.artifacts_lock import read_lock
from generator.formats.merge import Layer, merged
from generator.pki.request_material import RequestMaterial
from generator.render import render
from generator.render.tree import Tree, read_tree
from generator.spec import load_text
from generator.spec.model import Cluster
from tests.golden.kept import VANISHED, differing

GOLDEN = Path(__file__).parent
CLUSTERS = sorted(path.parent.name for path in (GOLDEN / "clusters").glob("*/cluster.yaml"))
VARIATIONS = sorted(path.parent.name for path in (GOLDEN / "variations").glob("*/case.yaml"))
ENCRYPTION = ("encryption/1",)
SERVICE_ACCOUNT = ("sa",)


@dataclass(frozen=True)
class Case:
    """One case: its folder and what the inputs give for it now, with vanished.txt where something vanished."""

    name: str
    folder: Path

    def expected(self) -> dict[str, bytes]:
        """Return what was written down."""
        rendered = self.folder / "rendered"
        files = read_tree(rendered) if rendered.is_dir() else {}
        vanished = self.folder / VANISHED
        return {**files, VANISHED: vanished.read_bytes()} if vanished.is_file() else files

    def actual(self) -> Mapping[str, bytes]:
        """Return what is to be written down."""
        if self.folder.parent.name == "clusters":
            return cluster_tree(self.name)
        return differing(variation_tree(self.name), cluster_tree(self.base))

    @property
    def base(self) -> str:
        """The cluster of which this is a variation."""
        return str(_case(self.name).get("base", "minimal"))


CASES = [
    *(Case(name, GOLDEN / "clusters" / name) for name in CLUSTERS),
    *(Case(name, GOLDEN / "variations" / name) for name in VARIATIONS),
]


@cache
def cluster(name: str) -> Cluster:
    """Load a golden cluster."""
    folder = GOLDEN / "clusters" / name
    return load_text((folder / "cluster.yaml").read_text(), name=name, files=_beside(folder))


@cache
def cluster_tree(name: str) -> Tree:
    """Render a golden cluster."""
    return tree_of(cluster(name))


@cache
def variation(name: str) -> Cluster:
    """Load a variation: its base with the patch laid over, maps merged, null removing."""
    case = _case(name)
    base = GOLDEN / "clusters" / case.get("base", "minimal")
    spec = yaml.safe_load((base / "cluster.yaml").read_text())
    patched = merged([Layer("base", spec), Layer("patch", case.get("patch", {}))]).values
    beside = {**_beside(base), **_beside(GOLDEN / "variations" / name)}
    return load_text(yaml.safe_dump(patched, sort_keys=False), name=base.name, files=beside)


@cache
def variation_tree(name: str) -> Tree:
    """Render a variation."""
    keys = _case(name).get("keys", {})
    return tree_of(variation(name), keys.get("encryption", ENCRYPTION), keys.get("serviceAccount", SERVICE_ACCOUNT))


def tree_of(
    model: Cluster, encryption: Sequence[str] = ENCRYPTION, service_account: Sequence[str] = SERVICE_ACCOUNT
) -> Tree:
    """Render a model with requests in place of certificates, in some state of rotation."""
    folder = GOLDEN / "clusters" / model.name
    material = RequestMaterial(model, encryption_keys=encryption, service_account_keys=service_account)
    return render(model, material, read_lock(folder), GOLDEN)


def _case(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((GOLDEN / "variations" / name / "case.yaml").read_text())
    return found


def _beside(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted((folder / "files").rglob("*"))
        if path.is_file()
    }
