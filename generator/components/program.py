"""Executables of the Kubernetes release: one per folder and version, and the link that turns to the current one."""

from __future__ import annotations

from generator.components.items import HostBinary, HostLink
from generator.components.view import View
from generator.spec.layout import LINK_DIR, binary_dir


def kubernetes_link(view: View, program: str, *, phase: str, restarts: tuple[str, ...] = ()) -> HostLink:
    """Return the link to a program of the cluster's Kubernetes version; the component has the program's name."""
    target = f"{binary_dir(program, view.cluster.versions.kubernetes)}/{program}"
    return HostLink(f"{LINK_DIR}/{program}", target, component=program, phase=phase, restarts=restarts)


def kubernetes_binary(view: View, program: str) -> HostBinary:
    """Return the executable in its version folder, for the pool's architecture."""
    assert view.pool is not None
    version = view.cluster.versions.kubernetes
    return HostBinary(
        f"{binary_dir(program, version)}/{program}",
        artifact=program,
        version=version,
        arch=view.pool.arch,
        member="",
        component=program,
    )
