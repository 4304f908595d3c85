"""The section `addons.metricsServer`: what nodes and pods use, for `kubectl top` and for autoscalers."""

from __future__ import annotations

from pydantic import Field

from generator.spec.addons.base import AddonSection


class MetricsServerSection(AddonSection):
    """metrics-server."""

    enabled: bool = Field(True, description="Whether metrics-server runs.")
    replicas: int = Field(
        1, ge=1, le=10, description="How many of it; from 2 on they keep apart and one stays through a drain."
    )
    resolution_seconds: int = Field(
        15, ge=10, le=600, description="Seconds between two questions to each kubelet, which itself measures every ten."
    )
