"""What every addon's section of cluster.yaml has in common."""

from __future__ import annotations

from pydantic import Field

from generator.spec.scalars_network import RegistryPrefix
from generator.spec.schema_base import Section


class AddonSection(Section):
    """The section of one addon. The frozen section is also what the rest of Slipway sees of it."""

    registry: RegistryPrefix | None = Field(
        None, description="Registry of this addon's images in place of the one in their names, and of addons.registry."
    )
