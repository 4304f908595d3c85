"""The rules between fields of a spec, in the order in which they are checked.

Each rule adds what it finds to `Findings` and lets the others run, so that one run names every fault.
"""

from __future__ import annotations

from generator.spec.couplings_balancing import check_balancing
from generator.spec.couplings_bridge import check_bridge
from generator.spec.couplings_cloud import check_cloud_init
from generator.spec.couplings_disks import check_disks
from generator.spec.couplings_firewall import check_firewall, check_operators
from generator.spec.couplings_gpu import check_gpus
from generator.spec.couplings_hosts import check_hosts, check_systems
from generator.spec.couplings_network import check_network
from generator.spec.couplings_nodes import check_nodes
from generator.spec.couplings_settings import check_settings, check_versions
from generator.spec.couplings_system import check_system
from generator.spec.faults import Findings
from generator.spec.model import Cluster
from generator.spec.override_rules import check_overrides
from generator.spec.schema import ClusterSpec


def check_fields(spec: ClusterSpec, cluster: Cluster, findings: Findings) -> None:
    """Check all rules that hold whatever hosts there are."""
    supported = check_versions(cluster, findings)
    check_network(cluster, findings)
    check_settings(spec, cluster, findings)
    check_systems(cluster, findings)
    check_nodes(cluster, findings)
    check_firewall(spec, cluster, findings)
    check_disks(spec, cluster, findings)
    check_gpus(cluster, findings)
    check_cloud_init(spec, cluster, findings)
    if supported:
        check_overrides(cluster, findings)


def check_inventory(cluster: Cluster, findings: Findings) -> None:
    """Check all rules that need every host to be there."""
    check_hosts(cluster, findings)
    check_balancing(cluster, findings)
    check_bridge(cluster, findings)
    check_operators(cluster, findings)
    check_system(cluster, findings)
