"""A service that a timer starts again and again, described as one unit: the sections of both, told apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.components.daemon import UnitSections


def service_and_timer(sections: Mapping[str, Mapping[str, Any]]) -> tuple[UnitSections, UnitSections]:
    """Return the sections of the service and those of its timer, which gets Timer and Install."""
    service = dict(sections)
    description = service.get("Unit", {}).get("Description", "")
    timer = {
        "Unit": {"Description": f"{description}, again and again"},
        "Timer": service.pop("Timer", {}),
        "Install": service.pop("Install", {}),
    }
    return service, timer
