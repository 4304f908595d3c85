"""`invoke render`: load, issue what is missing, render, write; and what the operator is told about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from generator.pki.issue import Clock, IdentityProvider, IssueReport, issue
from generator.pki.store import PkiStore
from generator.render.check import current_tree, rendered_dir
from generator.render.rotation_guard import refuse_skipped_steps, tree_files
from generator.render.tree import Changes, write
from generator.render.user_data import size_lines
from generator.spec import load


@dataclass(frozen=True, slots=True)
class Report:
    """What a render did: certificates issued, files changed, warnings of the spec, and sizes of user-data in words."""

    cluster: str
    issued: IssueReport
    changes: Changes
    files: int
    warnings: tuple[str, ...]
    sizes: tuple[str, ...] = ()


def render_cluster(root: Path, name: str, *, clock: Clock, identity: IdentityProvider | None = None) -> Report:
    """Issue what a cluster lacks, render its tree and write it to rendered/<c>.

    `clock` and `identity` serve the issue step; `identity` is called only when something sealed must be opened. Raises
    SpecError, PkiError, SealingError, RenderError; a failure leaves the old tree whole.
    """
    cluster = load(root, name)
    issued = issue(cluster, root / "clusters" / name, clock=clock, identity=identity)
    tree = current_tree(root, cluster)
    folder = rendered_dir(root, name)
    refuse_skipped_steps(name, tree_files(folder), tree, PkiStore(root / "clusters" / name))
    return Report(name, issued, write(tree, folder), len(tree), cluster.warnings, tuple(size_lines(cluster, tree)))
