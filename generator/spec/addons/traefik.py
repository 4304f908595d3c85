"""The ingress controller Traefik."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from generator.spec.addons.ingress_controllers import IngressSection

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster


class TraefikSection(IngressSection):
    """Traefik: serves Ingresses, and its own kinds such as IngressRoute."""

    default_class: bool = Field(True, description="Whether it serves Ingresses that name no class.")
    access_log: bool = Field(True, description="Whether it writes a line for each request, as JSON, without headers.")
    tls_min_version: Literal["1.2", "1.3"] = Field("1.2", description="Oldest version of TLS that it speaks.")
    redirect_to_https: bool = Field(
        False, alias="redirectToHTTPS", description="Whether every request by HTTP is sent to HTTPS."
    )


def check_traefik(cluster: Cluster, findings: Findings) -> None:
    """Check what concerns Traefik alone."""
    section = cluster.addons.traefik
    if not section.enabled:
        return
    if section.redirect_to_https and section.expose == "nodePort" and section.node_ports.https is None:
        what = "sends requests to a port that nobody knows: Kubernetes picks the node port of HTTPS"
        findings.fault(("addons", "traefik", "redirectToHTTPS"), what, "write nodePorts: {https: ...}")
    if cluster.versions.minor < (1, 21):
        what = f"is v3.0.4 with Kubernetes {cluster.versions.minor_text}, which has had no fixes since July 2024"
        todo = "go to Kubernetes 1.21 or later, whose EndpointSlices newer ones read, or know what you serve with it"
        findings.warn(("addons", "traefik"), what, todo)
