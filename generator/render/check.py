"""Whether rendered/<c> is what the inputs give, found out in memory: nothing is written, issued or unsealed."""

from __future__ import annotations

from pathlib import Path

from generator.artifacts_lock import read_lock
from generator.pki.store import PkiStore
from generator.render.assembly import render
from generator.render.tree import Tree, changes
from generator.spec import load
from generator.spec.model import Cluster


def rendered_dir(root: Path, cluster: str) -> Path:
    """Return where a cluster's tree lies in a workspace."""
    return root / "rendered" / cluster


def current_tree(root: Path, cluster: Cluster) -> Tree:
    """Return the tree that the inputs give now; raises RenderError where a certificate is still to be issued."""
    cluster_dir = root / "clusters" / cluster.name
    return render(cluster, PkiStore(cluster_dir), read_lock(cluster_dir), root)


def check(root: Path, cluster: str | Cluster) -> list[str]:
    """Return one line for each path in which rendered/<c> differs from what the inputs give; empty when it is current.

    `+` would be added, `~` changed, `-` removed. Raises SpecError and RenderError for inputs that give no tree.
    """
    model = load(root, cluster) if isinstance(cluster, str) else cluster
    return changes(rendered_dir(root, model.name), current_tree(root, model)).lines()
