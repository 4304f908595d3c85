"""Every flag of every rendered unit is one that the flag table knows for the minor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from generator.components import etcd, kube_apiserver, kube_controller_manager, kube_scheduler
from generator.components.view import Component
from generator.spec.flag_tables import Knowledge, known
from tests.components.sample import MINORS, flags_of, host_items, sample_cluster, text_of

CONTROL_PLANE: tuple[Component, ...] = (
    kube_apiserver.COMPONENT,
    kube_controller_manager.COMPONENT,
    kube_scheduler.COMPONENT,
)
SPECS = {
    "plain": "",
    "no audit, no encryption": "audit: {enabled: false}\nencryption: {provider: none}",
}
TWO_FAMILIES: dict[str, Any] = {
    "pod_cidrs": ("10.244.0.0/16", "fd00:1::/56"),
    "service_cidrs": ("10.96.0.0/16", "fd00:2::/112"),
    "node_mask_sizes": (24, 64),
}


@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("network", [{}, TWO_FAMILIES], ids=["one family", "two families"])
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("component", CONTROL_PLANE, ids=lambda component: component.name)
def test_control_plane_flags_are_known(component: Component, spec: str, network: dict[str, Any], minor: str) -> None:
    cluster = sample_cluster(minor, SPECS[spec])
    cluster = replace(cluster, network=replace(cluster.network, **network))
    unit = text_of(host_items(component, cluster)[f"/etc/systemd/system/{component.name}.service"])
    flags = flags_of(unit)
    assert len(flags) > 10
    unknown = [flag for flag in flags if known(component.name, minor, flag) is not Knowledge.KNOWN]
    assert not unknown


@pytest.mark.parametrize("version", ["3.4.23", "3.5.15", "3.6.11"])
def test_etcd_flags_are_known(version: str) -> None:
    cluster = sample_cluster("1.30", versions=f', etcd: "{version}"', rest="directories: {etcdWal: /var/lib/etcd-wal}")
    flags = flags_of(text_of(host_items(etcd.COMPONENT, cluster)["/etc/systemd/system/etcd.service"]))
    assert flags["wal-dir"] == "/var/lib/etcd-wal/wal"
    minor = version.rpartition(".")[0]
    assert not [flag for flag in flags if known("etcd", minor, flag) is not Knowledge.KNOWN]
