"""The workspace: the nearest folder upward with clusters/, or SLIPWAY_ROOT; and the cluster that a verb means."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from generator.errors import WorkspaceError


@dataclass(frozen=True, slots=True)
class Place:
    """One cluster's folders in a workspace."""

    root: Path
    cluster: str

    @property
    def inputs(self) -> Path:
        """The folder that people edit: clusters/<c>."""
        return self.root / "clusters" / self.cluster

    @property
    def rendered(self) -> Path:
        """The folder that nobody edits: rendered/<c>."""
        return self.root / "rendered" / self.cluster


def workspace_root(start: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the root of the workspace; raises WorkspaceError where there is none."""
    named = environ.get("SLIPWAY_ROOT")
    if named:
        root = Path(named).expanduser().resolve()
        if not (root / "clusters").is_dir():
            raise WorkspaceError(f"SLIPWAY_ROOT={named}: holds no clusters/ folder; point it at a workspace")
        return root
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "clusters").is_dir():
            return folder
    raise WorkspaceError(f"{here}: no clusters/ folder here or above; run `invoke new` to start a workspace")


def place_of(cluster: str | None, environ: Mapping[str, str] = os.environ) -> Place:
    """Return the cluster that is meant: the one named, else SLIPWAY_CLUSTER, else the only one there is.

    Raises WorkspaceError with the list of names where none or several fit.
    """
    root = workspace_root(environ=environ)
    names = sorted(path.parent.name for path in (root / "clusters").glob("*/cluster.yaml"))
    known = ", ".join(names) if names else "none"
    chosen = cluster or environ.get("SLIPWAY_CLUSTER")
    if chosen:
        if chosen not in names:
            raise WorkspaceError(f"no cluster {chosen} in {root / 'clusters'} (there are: {known}); name one of these")
        return Place(root, chosen)
    if len(names) == 1:
        return Place(root, names[0])
    if not names:
        raise WorkspaceError(f"no cluster in {root / 'clusters'}; run `invoke new --name NAME` to start one")
    raise WorkspaceError(f"several clusters ({known}); say which with --cluster NAME or SLIPWAY_CLUSTER")
