"""The section `addons` of cluster.yaml: what runs in the cluster, one module for each addon."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import Field

from generator.spec.addons.calico import CalicoSection, check_calico
from generator.spec.addons.cert_manager import CertManagerSection, check_cert_manager
from generator.spec.addons.coredns import CorednsSection, check_coredns
from generator.spec.addons.dashboard import DashboardSection, check_dashboard
from generator.spec.addons.etcd_backup import EtcdBackupSection, check_etcd_backup
from generator.spec.addons.flannel import FlannelSection, check_flannel
from generator.spec.addons.gpu_device_plugin import GpuDevicePluginSection, check_gpu_device_plugin
from generator.spec.addons.ingress_controller_rules import check_ingress_controllers
from generator.spec.addons.ingress_nginx import IngressNginxSection, check_ingress_nginx
from generator.spec.addons.jenkins import JenkinsSection
from generator.spec.addons.jenkins_rules import check_jenkins
from generator.spec.addons.local_path import LocalPathSection, check_local_path
from generator.spec.addons.metrics_server import MetricsServerSection
from generator.spec.addons.network_policy import check_network_policy
from generator.spec.addons.node_local_dns import NodeLocalDnsSection, check_node_local_dns
from generator.spec.addons.node_problem_detector import NodeProblemDetectorSection
from generator.spec.addons.traefik import TraefikSection, check_traefik
from generator.spec.scalars_network import RegistryPrefix
from generator.spec.schema_base import Section

if TYPE_CHECKING:
    from generator.spec.faults import Findings
    from generator.spec.model import Cluster


class AddonsSpec(Section):
    """What runs in the cluster. Further knobs stand in addons.jsonnet."""

    registry: RegistryPrefix | None = Field(
        None, description="Registry of all addons' images in place of those in their names, as host[:port][/path]."
    )
    calico: CalicoSection = Field(CalicoSection(), description="Calico, the network of network.plugin: calico.")
    traefik: TraefikSection = Field(
        TraefikSection(), description="The ingress controller Traefik (docs/addons/traefik.md)."
    )
    ingress_nginx: IngressNginxSection = Field(
        IngressNginxSection(),
        description="The ingress controller ingress-nginx, which has ended (docs/addons/ingress-nginx.md).",
    )
    flannel: FlannelSection = Field(FlannelSection(), description="Pod network of network.plugin flannel.")
    coredns: CorednsSection = Field(CorednsSection(), description="Name server of the cluster.")
    node_local_dns: NodeLocalDnsSection = Field(
        NodeLocalDnsSection(), alias="nodeLocalDNS", description="Cache of names on every node."
    )
    etcd_backup: EtcdBackupSection = Field(EtcdBackupSection(), description="Snapshots of etcd (docs/etcd-backup.md).")
    metrics_server: MetricsServerSection = Field(
        MetricsServerSection(), description="metrics-server (docs/addons/metrics-server.md)."
    )
    local_path: LocalPathSection = Field(
        LocalPathSection(), description="Volumes on the disks of nodes (docs/addons/local-path.md)."
    )
    node_problem_detector: NodeProblemDetectorSection = Field(
        NodeProblemDetectorSection(), description="node-problem-detector (docs/addons/node-problem-detector.md)."
    )
    gpu_device_plugin: GpuDevicePluginSection = Field(
        GpuDevicePluginSection(), description="NVIDIA's device plugin (docs/addons/gpu-device-plugin.md)."
    )
    cert_manager: CertManagerSection = Field(
        CertManagerSection(), description="cert-manager (docs/addons/cert-manager.md)."
    )
    dashboard: DashboardSection = Field(DashboardSection(), description="Dashboard (docs/addons/dashboard.md).")
    jenkins: JenkinsSection = Field(JenkinsSection(), description="Jenkins, the delivery chain (docs/ci/jenkins.md).")


CHECKS: tuple[Callable[[Cluster, Findings], None], ...] = (
    check_calico,
    check_ingress_controllers,
    check_traefik,
    check_ingress_nginx,
    check_network_policy,
    check_flannel,
    check_coredns,
    check_node_local_dns,
    check_local_path,
    check_etcd_backup,
    check_gpu_device_plugin,
    check_cert_manager,
    check_dashboard,
    check_jenkins,
)
"""The rules of each addon. A new module of them gets a line here."""


def check_addons(cluster: Cluster, findings: Findings) -> None:
    """Check what addons ask of each other and of the cluster."""
    for check in CHECKS:
        check(cluster, findings)
