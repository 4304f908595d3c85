"""The section `addons` of cluster.yaml: what runs in the cluster, one module for each addon."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import Field

from generator.spec.addons.etcd_backup import EtcdBackupSection, check_etcd_backup
from generator.spec.addons.metrics_server import MetricsServerSection
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
    etcd_backup: EtcdBackupSection = Field(EtcdBackupSection(), description="Snapshots of etcd (docs/etcd-backup.md).")
    metrics_server: MetricsServerSection = Field(
        MetricsServerSection(), description="metrics-server (docs/addons/metrics-server.md)."
    )


CHECKS: tuple[Callable[[Cluster, Findings], None], ...] = (check_etcd_backup,)
"""The rules of each addon. A new module of them gets a line here."""


def check_addons(cluster: Cluster, findings: Findings) -> None:
    """Check what addons ask of each other and of the cluster."""
    for check in CHECKS:
        check(cluster, findings)
