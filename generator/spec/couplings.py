"""The rules between fields of a spec: one table of all of them, in the order in which they are checked.

Each group adds what it finds to `Findings` and lets the others run, so that one run names every fault. A combination
that cannot be is refused here and nowhere else; tests/errors holds what is said of each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from generator.spec.addons import check_addons
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
from generator.spec.versions import unsupported

Check = Callable[[ClusterSpec, Cluster, Findings], object]
Needs = Literal["nothing", "a known version", "every host"]


@dataclass(frozen=True, slots=True)
class Group:
    """Rules about one thing. `needs` is what must be in order before they can be asked."""

    about: str
    check: Check
    needs: Needs = "nothing"


def _of_model(check: Callable[[Cluster, Findings], object]) -> Check:
    """Return a check that looks at the model alone, and not at how it was written."""
    return lambda spec, cluster, findings: check(cluster, findings)


GROUPS: tuple[Group, ...] = (
    Group("versions that go together", _of_model(check_versions)),
    Group("networks, ranges and their sizes", _of_model(check_network)),
    Group("encryption, certificates, folders, runtime, kernel parameters, files", check_settings),
    Group("distributions, and what their kernels must do", _of_model(check_systems)),
    Group("labels, taints and other settings of nodes", _of_model(check_nodes)),
    Group("who may reach which port", check_firewall),
    Group("data disks", check_disks),
    Group("GPUs", _of_model(check_gpus)),
    Group("user-data and its logins", check_cloud_init),
    Group("overrides of flags, units and configuration", _of_model(check_overrides), needs="a known version"),
    Group("hosts, addresses, roles, zones, ports", _of_model(check_hosts), needs="every host"),
    Group("ways into the API", _of_model(check_balancing), needs="every host"),
    Group("routes of the bridge plugin", _of_model(check_bridge), needs="every host"),
    Group("addons", _of_model(check_addons), needs="every host"),
    Group("a firewall that lets the operator in", _of_model(check_operators), needs="every host"),
    Group("what hosts are set to beneath Kubernetes", _of_model(check_system), needs="every host"),
)
"""All of them. A new module of rules gets a line here."""


def check_couplings(spec: ClusterSpec, cluster: Cluster, findings: Findings, *, complete: bool) -> None:
    """Check every group; `complete` says whether every host is in the model."""
    ready = {
        "nothing": True,
        "a known version": unsupported(cluster.versions.kubernetes) is None,
        "every host": complete,
    }
    for group in GROUPS:
        if ready[group.needs]:
            group.check(spec, cluster, findings)
