"""The layer between a component's defaults and the spec: what one Kubernetes minor wants differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from generator.formats.merge import Layer
from generator.spec.model import Cluster


def minor_table(cluster: Cluster, flags: Mapping[str, Any] | None = None) -> Layer:
    """Return the minor's layer of a control-plane program: its own flags and the gate that dual-stack still needs.

    IPv6DualStack was alpha, off by default, in 1.20 and on by default from 1.21 on (KEP-563).
    """
    values = dict(flags or {})
    if cluster.versions.minor == (1, 20) and len(cluster.network.service_cidrs) > 1:
        values["feature-gates"] = "IPv6DualStack=true"
    return Layer(f"Kubernetes {cluster.versions.minor_text} table", {"flags": values})
