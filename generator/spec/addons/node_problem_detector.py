"""node-problem-detector: it reads the kernel's log on every node and reports trouble as conditions and events."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from generator.spec.addons.base import AddonSection


class NodeProblemDetectorSection(AddonSection):
    """Trouble that the kernel of a node tells of, shown as conditions and events of the Node."""

    enabled: bool = Field(False, description="Whether node-problem-detector runs.")
    source: Literal["journal", "kmsg"] = Field(
        "journal",
        description="Where it reads what the kernel says: journal needs no privilege; kmsg is a privileged container.",
    )
