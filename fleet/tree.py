"""The rendered tree of one cluster as fleet works with it: hosts with all that each is to have, and the phases."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from fleet.inventory import Host, Jump, Phase, Pool, Ssh, phase_from, pool_from, ssh_from
from fleet.items import KINDS, Item, item_from
from fleet.ports import Port, table_of
from generator.errors import StaleTreeError, WorkspaceError

__all__ = [
    "UNLOCKED", "Artifact", "Host", "Jump", "Phase", "Pool", "RenderedTree", "Ssh", "load",
]  # fmt: skip

UNLOCKED = "unlocked"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One line of bom.yaml's artifacts; `size` 0 where it is not known."""

    name: str
    version: str
    arch: str
    url: str
    sha256: str
    size: int


@dataclass(frozen=True)
class RenderedTree:
    """rendered/<c>, read and checked; hosts by name in the order of names, `ports` by host."""

    path: Path
    cluster: str
    versions: Mapping[str, str]
    fetch: str
    hosts: Mapping[str, Host]
    pools: Mapping[str, Pool]
    phases: tuple[Phase, ...]
    control_plane: tuple[Mapping[str, Any], ...]
    artifacts: Mapping[tuple[str, str, str], Artifact]
    digest: str
    ports: Mapping[str, tuple[Port, ...]] = field(default_factory=dict)

    def with_role(self, role: str) -> tuple[Host, ...]:
        """Return the hosts whose pool has a role, by name."""
        return tuple(host for host in self.hosts.values() if role in host.pool.roles)

    def phase(self, name: str) -> Phase:
        """Return a phase by name; raises WorkspaceError that lists the names there are."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise WorkspaceError(
            f"{self.cluster}: there is no phase {name}; it has {', '.join(phase.name for phase in self.phases)}"
        )

    @property
    def etcd_phase(self) -> Phase | None:
        """The phase in which etcd forms, None where the cluster has none."""
        return next((phase for phase in self.phases if phase.formation), None)


def load(rendered_dir: Path) -> RenderedTree:
    """Read a rendered tree and resolve what each host is to have.

    A host has the shared items of its pool's components, overlaid by the pool's, overlaid by its own, without what a
    manifest lists as absent. Raises StaleTreeError where the tree is not what render writes.
    """
    if not (rendered_dir / "inventory.yaml").is_file():
        raise StaleTreeError(f"{rendered_dir.name}: there is no rendered tree; run `invoke render`", ["inventory.yaml"])
    inventory = _mapping(rendered_dir / "inventory.yaml")
    cluster = str(inventory.get("cluster", rendered_dir.name))
    artifacts = _artifacts(rendered_dir / "bom.yaml")
    loader = _Manifests(rendered_dir, artifacts)
    base = inventory.get("ssh") or {}
    try:
        pools = {name: pool_from(name, entry) for name, entry in sorted(inventory["pools"].items())}
        hosts = {
            name: Host(
                name=name,
                pool=pools[entry["pool"]],
                address=str(entry["address"]),
                node=str(entry.get("node", "")),
                zone=str(entry.get("zone", "")),
                labels=dict(entry.get("labels") or {}),
                ssh=ssh_from({**base, **(entry.get("ssh") or {})}),
                items=loader.host(name, pools[entry["pool"]]),
                secondary=str(entry.get("secondaryAddress", "")),
                kernel=str(entry.get("kernel", pools[entry["pool"]].kernel)),
            )
            for name, entry in sorted(inventory["hosts"].items())
        }
        document = _mapping(rendered_dir / "phases.yaml")
        phases = tuple(phase_from(entry) for entry in document["phases"])
        ports = _ports(rendered_dir, hosts)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise StaleTreeError(
            f"{cluster}: inventory.yaml, phases.yaml or ports.yaml is not as render writes it ({error!r}); "
            "run `invoke render`"
        ) from None
    known = {phase.name for phase in phases}
    for host in hosts.values():
        for item in host.items:
            if item.phase not in known:
                raise StaleTreeError(
                    f"{cluster}/{host.name}: {item.component}: {item.key} is of phase {item.phase}, "
                    "which phases.yaml has not; run `invoke render`"
                )
    return RenderedTree(
        path=rendered_dir,
        cluster=cluster,
        versions={str(name): str(version) for name, version in (inventory.get("versions") or {}).items()},
        fetch=str((inventory.get("artifacts") or {}).get("fetch", "push")),
        hosts=hosts,
        pools=pools,
        phases=phases,
        control_plane=tuple(document.get("controlPlane") or ()),
        artifacts=artifacts,
        digest=_tree_digest(rendered_dir),
        ports=ports,
    )


def _ports(root: Path, hosts: Mapping[str, Host]) -> dict[str, tuple[Port, ...]]:
    """Return the port table of each host: that of its pool, or its own where it has one; none in a tree without."""
    if not (root / "ports.yaml").is_file():
        return {}
    table = _mapping(root / "ports.yaml")
    found: dict[str, tuple[Port, ...]] = {}
    for name, host in hosts.items():
        own = root / "hosts" / name / "ports.yaml"
        entries = _mapping(own)["ports"] if own.is_file() else table["pools"][host.pool.name]
        found[name] = table_of([*table["everyHost"], *entries], host.ssh.port)
    return found


class _Manifests:
    """Reads each manifest once, however many hosts share it."""

    def __init__(self, root: Path, artifacts: Mapping[tuple[str, str, str], Artifact]) -> None:
        self._root = root
        self._artifacts = artifacts
        self._read: dict[str, tuple[dict[str, Item], frozenset[str]]] = {}
        self._pools: dict[str, dict[str, Item]] = {}

    def host(self, name: str, pool: Pool) -> tuple[Item, ...]:
        items = dict(self._pool(pool))
        own, absent = self._manifest(f"hosts/{name}", "")
        for key in absent:
            items.pop(key, None)
        items.update(own)
        return tuple(sorted(items.values(), key=lambda item: (KINDS.index(item.kind), item.key)))

    def _pool(self, pool: Pool) -> dict[str, Item]:
        if pool.name not in self._pools:
            items: dict[str, Item] = {}
            for component in pool.components:
                for folder in (f"components/{component}", f"components/{component}@{pool.name}"):
                    own, absent = self._manifest(folder, component)
                    for key in absent:
                        items.pop(key, None)
                    items.update(own)
            self._pools[pool.name] = items
        return self._pools[pool.name]

    def _manifest(self, folder: str, component: str) -> tuple[dict[str, Item], frozenset[str]]:
        if folder not in self._read:
            path = self._root / folder / "manifest.yaml"
            document = _mapping(path) if path.is_file() else {}
            where = f"{self._root.name}/{folder}/manifest.yaml"
            items = [
                item_from(entry, component, path.parent / "rootfs", where) for entry in document.get("items") or ()
            ]
            located = [self._located(item) if item.kind == "binary" else item for item in items]
            self._read[folder] = (
                {item.key: item for item in located},
                frozenset(map(str, document.get("absent") or ())),
            )
        return self._read[folder]

    def _located(self, item: Item) -> Item:
        artifact = self._artifacts.get((item.artifact, item.version, item.arch))
        return replace(item, sha256=artifact.sha256 if artifact else UNLOCKED)


def _artifacts(path: Path) -> dict[tuple[str, str, str], Artifact]:
    found: dict[tuple[str, str, str], Artifact] = {}
    for entry in (_mapping(path) if path.is_file() else {}).get("artifacts") or ():
        artifact = Artifact(
            str(entry["name"]), str(entry["version"]), str(entry["arch"]), str(entry.get("url", "")),
            str(entry.get("sha256", UNLOCKED)), int(entry.get("size") or 0),
        )  # fmt: skip
        found[artifact.name, artifact.version, artifact.arch] = artifact
    return found


def _mapping(path: Path) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_bytes(), Loader=_LOADER)
    except (OSError, yaml.YAMLError) as error:
        raise StaleTreeError(
            f"{path.parent.name}/{path.name} cannot be read ({error}); run `invoke render`", [path.name]
        ) from None
    if not isinstance(document, dict):
        raise StaleTreeError(f"{path.parent.name}/{path.name} is empty or no mapping; run `invoke render`", [path.name])
    return document


def _tree_digest(root: Path) -> str:
    total = hashlib.sha256()
    # Plain paths: with an object for each of some thousand files this took longer than to read them.
    names = [os.path.relpath(os.path.join(folder, name), root) for folder, _, files in os.walk(root) for name in files]
    for name in sorted(names, key=lambda name: name.split("/")):
        path = f"{root}/{name}"
        if os.path.isfile(path):
            with open(path, "rb", buffering=0) as file:
                total.update(f"{name}\0{hashlib.sha256(file.readall()).hexdigest()}\n".encode())
    return total.hexdigest()


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
