"""render: cluster, certificates and lock in; the whole tree out. Pure: no clock, no randomness, no socket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from generator.artifacts_lock import ArtifactLock
from generator.components.registry import COMPONENTS
from generator.components.view import Component, Material
from generator.errors import RenderError
from generator.render.bom import bom_text
from generator.render.charts import charts
from generator.render.inventory import inventory_text
from generator.render.levels import Levels, levels
from generator.render.manifest import folder_files
from generator.render.objects import images, object_files, objects
from generator.render.overrides_page import OVERRIDES_FILE, overrides_text
from generator.render.phases import unknown_phases
from generator.render.phases_page import phases_text
from generator.render.pki_page import pki_text
from generator.render.ports_page import PORTS_FILE, own_ports, ports_text
from generator.render.tree import Tree, put
from generator.render.user_data import user_data_files
from generator.render.verify_page import verify_text
from generator.spec.model import Cluster


def render(
    cluster: Cluster, material: Material, lock: ArtifactLock, root: Path, components: Sequence[Component] | None = None
) -> Tree:
    """Return the tree of a cluster.

    `root` is the workspace, of which only clusters/<c>/addons.jsonnet is read; `components` are all known ones unless
    given. Raises RenderError where the model cannot become a tree.
    """
    found = levels(cluster, material, COMPONENTS if components is None else components)
    strange = unknown_phases(found.phases())
    if strange:
        raise RenderError(
            f"{cluster.name}: an item is of phase {strange[0]}, which does not exist; report this as a defect"
        )
    sets = objects(cluster, material, root)
    packages = charts(cluster)
    tree: dict[str, bytes] = {}
    put(tree, _folders(cluster, found, material))
    put(tree, user_data_files(cluster, found, lock))
    put(tree, object_files(sets))
    put(tree, own_ports(cluster))
    put(tree, ((one.path, one.package) for one in packages))
    put(
        tree,
        (
            (name, text.encode())
            for name, text in (
                ("inventory.yaml", inventory_text(cluster, found.components)),
                ("bom.yaml", bom_text(cluster, found, lock, images(sets), packages)),
                ("pki.yaml", pki_text(cluster, material)),
                (PORTS_FILE, ports_text(cluster, found.components)),
                ("verify.yaml", verify_text(cluster)),
                (OVERRIDES_FILE, overrides_text(cluster, found.components)),
                ("phases.yaml", phases_text(cluster, found.phases(), tuple(sets))),
            )
        ),
    )
    return dict(sorted(tree.items()))


def _folders(cluster: Cluster, found: Levels, material: Material) -> list[tuple[str, bytes]]:
    files: list[tuple[str, bytes]] = []
    for name, folder in found.shared.items():
        if folder:
            files.extend(folder_files(cluster.name, f"components/{name}", folder, name, material))
    for (name, pool), folder in found.pools.items():
        files.extend(folder_files(cluster.name, f"components/{name}@{pool}", folder, name, material))
    for host, folder in found.hosts.items():
        files.extend(folder_files(f"{cluster.name}/{host}", f"hosts/{host}", folder, None, material))
    return files
