"""Kubernetes dashboard: the web page that shows a cluster with the rights of whoever logs in.

Upstream ended on 2026-01-21: https://github.com/kubernetes-retired/dashboard is archived and points to Headlamp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from generator.spec.addons.base import AddonSection
from generator.spec.scalars import DnsLabel
from generator.spec.scalars_network import Domain
from generator.spec.schema_base import Section

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster


class DashboardIngress(Section):
    """How the page is reached through an ingress."""

    host: Domain = Field(description="Name under which people reach it.")
    class_name: DnsLabel | None = Field(None, description="IngressClass; without, the cluster's default.")
    tls_secret: DnsLabel = Field(
        "kubernetes-dashboard-ingress", description="Secret of its namespace with the certificate for the name."
    )
    namespace: DnsLabel = Field(
        examples=["ingress"],
        description="Namespace of the ingress controller's pods, the only ones that may enter the page.",
    )


class DashboardSection(AddonSection):
    """The Kubernetes dashboard. It has no rights of its own over the cluster: people bring their tokens."""

    enabled: bool = Field(False, description="Whether the dashboard runs.")
    replicas: int = Field(1, ge=1, le=9, description="Pods of the page.")
    metrics: bool = Field(True, description="Whether it shows what pods and nodes use, as metrics-server measures it.")
    ingress: DashboardIngress | None = Field(
        None, description="Ingress in front of it; without, only `kubectl port-forward` leads in."
    )


def check_dashboard(cluster: Cluster, findings: Findings) -> None:
    """Say that nobody mends the dashboard any more, and what it cannot show."""
    dashboard = cluster.addons.dashboard
    if dashboard.enabled:
        what = "upstream archived the dashboard on 2026-01-21, so its faults stay unmended"
        todo = "use kubectl or Headlamp where you can, and keep the page behind port-forward or a VPN"
        findings.warn(("addons", "dashboard", "enabled"), what, todo)
    if dashboard.enabled and dashboard.metrics and not cluster.addons.metrics_server.enabled:
        what = "the dashboard shows what metrics-server measures, which is not enabled"
        findings.warn(("addons", "dashboard", "metrics"), what, "enable addons.metricsServer, or set metrics to false")
    if dashboard.enabled and dashboard.ingress is not None and cluster.versions.minor < (1, 21):
        what = f"Kubernetes {cluster.versions.minor_text} does not label namespaces with their names"
        todo = f"label {dashboard.ingress.namespace} with kubernetes.io/metadata.name={dashboard.ingress.namespace}"
        findings.warn(("addons", "dashboard", "ingress", "namespace"), what, todo)
