"""What every addon's section of cluster.yaml has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from generator.spec.scalars_network import RegistryPrefix
from generator.spec.schema_base import Section

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster


class AddonSection(Section):
    """The section of one addon. The frozen section is also what the rest of Slipway sees of it."""

    registry: RegistryPrefix | None = Field(
        None, description="Registry of this addon's images in place of the one in their names, and of addons.registry."
    )


def is_plugin(cluster: Cluster, findings: Findings, name: str) -> bool:
    """Return whether an addon is the network plugin; a section of one that is not is warned about."""
    used = cluster.network.plugin == name
    if not used and ("addons", name) in findings.document.lines:
        what = f"is not used: network.plugin is {cluster.network.plugin}"
        findings.warn(("addons", name), what, f"use plugin: {name}, or take it out")
    return used
