"""The golden cases of addons: the API objects that each addon has by default, and what each variation changes.

addons/cluster.yaml                        the cluster that the cases patch
addons/<addon>/<variation>/case.yaml       about, patch (of the spec), jsonnet (text of an addons.jsonnet), base (a
                                           golden cluster in place of addons/cluster.yaml), projects (files by name),
                                           files (that lie beside cluster.yaml, by name)
addons/<addon>/default/rendered/           every file of the addon's set
addons/<addon>/<variation>/rendered/       the files that are new or other than the default's
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from generator.formats.merge import Layer, merged
from generator.pki.request_material import RequestMaterial
from generator.render.objects import Objects, object_files, objects, whole_argument
from generator.render.tree import read_tree
from generator.spec import load_text
from generator.spec.model import Cluster
from tests.golden.kept import VANISHED, differing

FOLDER = Path(__file__).parent / "addons"
NETWORKS = frozenset({"calico", "flannel"})


@dataclass(frozen=True)
class AddonCase:
    """One variation of one addon."""

    addon: str
    name: str

    @property
    def folder(self) -> Path:
        """Where it stands."""
        return FOLDER / self.addon / self.name

    def expected(self) -> dict[str, bytes]:
        """Return what was written down."""
        rendered, vanished = self.folder / "rendered", self.folder / VANISHED
        files = read_tree(rendered) if rendered.is_dir() else {}
        return {**files, VANISHED: vanished.read_bytes()} if vanished.is_file() else files

    def actual(self) -> Mapping[str, bytes]:
        """Return what is to be written down."""
        files = self.files()
        return files if self.name == "default" else differing(files, AddonCase(self.addon, "default").files())

    def files(self) -> dict[str, bytes]:
        """Return the files of the addon's own set, by their path below objects/."""
        return {
            path.removeprefix("objects/"): content
            for path, content in object_files(case_objects(self))
            if path.startswith(f"objects/{set_name(self)}/")
        }


def set_name(case: AddonCase) -> str:
    """Return the set of an addon; both networks have the same."""
    if case.addon in NETWORKS:
        return "10-network"
    return next((name for name in case_objects(case) if name[3:] == case.addon), "none")


@cache
def content(case: AddonCase) -> dict[str, Any]:
    """Return case.yaml."""
    found: dict[str, Any] = yaml.safe_load((case.folder / "case.yaml").read_text())
    return found


@cache
def case_cluster(case: AddonCase, version: str = "") -> Cluster:
    """Load the cluster of a case, of another Kubernetes version where one is named."""
    base = content(case).get("base")
    spec = yaml.safe_load(
        (FOLDER if base is None else FOLDER.parent / "clusters" / base).joinpath("cluster.yaml").read_text()
    )
    layers = [Layer("base", spec), Layer("patch", content(case).get("patch", {}))]
    if version:
        layers.append(Layer("version", {"versions": {"kubernetes": version, "etcd": None, "containerd": None}}))
    return load_text(yaml.safe_dump(merged(layers).values, sort_keys=False), files=content(case).get("files"))


@cache
def case_objects(case: AddonCase, version: str = "") -> Objects:
    """Return all objects of the cluster of a case."""
    cluster = case_cluster(case, version)
    with _workspace(case, cluster) as root:
        return objects(cluster, RequestMaterial(cluster), root)


def case_argument(case: AddonCase) -> dict[str, Any]:
    """Return what jsonnet gets to know of the cluster of a case."""
    cluster = case_cluster(case)
    with _workspace(case, cluster) as root:
        return whole_argument(cluster, RequestMaterial(cluster), root)


@contextmanager
def _workspace(case: AddonCase, cluster: Cluster) -> Iterator[Path]:
    """Yield a workspace with what a case has beside its cluster.yaml."""
    with tempfile.TemporaryDirectory() as root:
        own = Path(root) / "clusters" / cluster.name / "addons.jsonnet"
        own.parent.mkdir(parents=True)
        if "jsonnet" in content(case):
            own.write_text(content(case)["jsonnet"])
        for name, project in content(case).get("projects", {}).items():
            file = own.parent / "projects" / f"{name}.yaml"
            file.parent.mkdir(exist_ok=True)
            file.write_text(yaml.safe_dump(project))
        yield Path(root)


ADDON_CASES = [AddonCase(path.parent.parent.name, path.parent.name) for path in sorted(FOLDER.glob("*/*/case.yaml"))]
