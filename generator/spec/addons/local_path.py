"""The section `addons.localPath`: volumes that are folders on the disks of nodes, made when a pod first needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from generator.spec.addons.base import AddonSection
from generator.spec.addons.folders import check_folder
from generator.spec.scalars import AbsolutePath

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster


class LocalPathSection(AddonSection):
    """Rancher's local path provisioner."""

    enabled: bool = Field(False, description="Whether volumes can be folders of nodes, class local-path.")
    path: AbsolutePath = Field("/var/lib/local-path", description="Folder on every node that holds them.")
    default_class: bool = Field(True, description="Whether claims that name no class are given this one.")
    reclaim_policy: Literal["Delete", "Retain"] = Field(
        "Delete", description="What becomes of a folder whose claim is deleted."
    )


def check_local_path(cluster: Cluster, findings: Findings) -> None:
    """Check that the folder of the volumes is nobody else's."""
    section = cluster.addons.local_path
    if section.enabled:
        check_folder(cluster, findings, ("addons", "localPath", "path"), section.path)
