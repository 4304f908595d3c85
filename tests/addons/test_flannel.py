"""Flannel: its files name what the hosts have, and its tunnels what a managed firewall opens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from generator.components.containerd import CNI_PLUGINS
from generator.components.firewall import COMPONENT as FIREWALL
from generator.components.firewall_rules import NODES, PORTS
from generator.components.kube_controller_manager import COMPONENT as CONTROLLER_MANAGER
from generator.components.view import View
from generator.spec import ports
from generator.spec.layout import CNI_BIN_DIR, CNI_CONF_DIR
from generator.spec.listener import LOOPBACK
from generator.spec.model import Cluster
from tests.addons.cases import members, pod_specs
from tests.addons.made import made
from tests.components.clusters import NamedMaterial, of_pool, shared, text
from tests.golden.addon_cases import ADDON_CASES, AddonCase, case_cluster
from tests.spec.samples import loaded

CASES = [case for case in ADDON_CASES if case.addon == "flannel"]
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))


def flannel(**section: Any) -> Cluster:
    return loaded(network={"plugin": "flannel"}, addons={"flannel": section})


def config(case: AddonCase, name: str) -> Any:
    (found,) = (one for one in members(case) if one["kind"] == "ConfigMap")
    return json.loads(found["data"][name])


@EVERY_CASE
def test_it_installs_where_the_runtime_looks(case: AddonCase) -> None:
    ((_, spec),) = pod_specs(case)
    paths = {volume["name"]: volume["hostPath"]["path"] for volume in spec["volumes"] if "hostPath" in volume}
    assert (paths["cni-plugin"], paths["cni"]) == (CNI_BIN_DIR, CNI_CONF_DIR)
    plugins = [one["type"] for one in config(case, "cni-conf.json")["plugins"]]
    # The plugin flannel itself comes with the image and calls bridge and host-local, which are on every host.
    assert plugins[0] == "flannel" and {*plugins[1:], "bridge", "host-local"} <= set(CNI_PLUGINS)


@EVERY_CASE
def test_its_range_is_the_one_that_the_controller_manager_hands_out(case: AddonCase) -> None:
    cluster = case_cluster(case)
    found = config(case, "net-conf.json")
    assert {found.get("Network"), found.get("IPv6Network")} - {None} == set(cluster.network.pod_cidrs)
    assert found.get("EnableIPv6", False) is ("IPv6Network" in found)
    flags = CONTROLLER_MANAGER.settings(View(cluster, NamedMaterial())).flags
    assert flags["allocate-node-cidrs"] is True
    assert flags["cluster-cidr"] == list(cluster.network.pod_cidrs)


def test_a_network_of_ipv6_alone_says_so() -> None:
    hosts = {"cp1": {"pool": "control", "address": "fd00::1"}, "w1": {"pool": "workers", "address": "fd00::11"}}
    network = {"plugin": "flannel", "podCIDR": "fd00:244::/48", "serviceCIDR": "fd00:96::/112"}
    data = made(network=network, hosts=hosts)["ConfigMap", "kube-flannel-cfg"]["data"]
    assert json.loads(data["net-conf.json"]) == {
        "EnableIPv4": False,
        "EnableIPv6": True,
        "IPv6Network": "fd00:244::/48",
        "Backend": {"Type": "vxlan"},
    }


@pytest.mark.parametrize(
    ("section", "port"),
    [({}, 8472), ({"port": 4789}, 4789), ({"backend": "udp"}, 8285), ({"backend": "host-gw"}, None)],
)
def test_a_managed_firewall_opens_the_tunnel_between_nodes(section: dict[str, Any], port: int | None) -> None:
    cluster = loaded(
        network={"plugin": "flannel"},
        addons={"flannel": section, "metricsServer": {"enabled": False}},
        firewall={"mode": "managed", "operators": ["10.1.0.0/24"]},
    )
    opened = {
        (one.port, one.protocol, one.callers)
        for one in ports.listeners(cluster, cluster.pools["workers"])
        if one.component == "flannel" and one.scopes != LOOPBACK
    }
    assert opened == ({(port, "udp", ("nodes",))} if port else set())
    rules = text(of_pool(FIREWALL, cluster, "workers"), PORTS)
    assert (f"udp dport {port} " in rules) is (port is not None)
    assert (NODES in shared(FIREWALL, cluster)) is (port is not None)


def test_it_enters_the_api_as_its_node_does() -> None:
    for api, way in (
        ({}, ("127.0.0.1", "8443")),
        ({"nodesUse": "endpoint", "balancer": "none", "endpoint": {"host": "10.0.0.100"}}, ("10.0.0.100", "6443")),
    ):
        spec: Any = made(network={"plugin": "flannel"}, api=api)["DaemonSet", "kube-flannel-ds"]["spec"]
        env = {one["name"]: one.get("value") for one in spec["template"]["spec"]["containers"][0]["env"]}
        assert (env["KUBERNETES_SERVICE_HOST"], env["KUBERNETES_SERVICE_PORT"]) == way


def test_nothing_of_it_is_there_with_another_network() -> None:
    assert not [key for key in made(network={"plugin": "none"}) if "flannel" in key[1]]


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ({"backend": "host-gw"}, "host-gw needs every node on one layer-2 network"),
        ({"backend": "udp"}, "udp copies every packet through a program"),
        ({}, "flannel enforces no NetworkPolicy"),
    ],
)
def test_what_is_doubtful_about_it_is_said(section: dict[str, Any], text: str) -> None:
    assert [text in one for one in flannel(**section).warnings].count(True) == 1


def test_a_section_that_nobody_uses_is_warned_about() -> None:
    (warning,) = loaded(addons={"flannel": {"backend": "host-gw"}}).warnings
    assert "addons.flannel: is not used: network.plugin is none" in warning


def test_a_runc_without_tunnels_of_programs_is_refused_only_there() -> None:
    for runc in ("1.1.15", "1.2.4", "1.3.4"):
        loaded(
            network={"plugin": "flannel"}, addons={"flannel": {"backend": "udp"}}, versions={
                "kubernetes": "1.30.5", "runc": runc
            },
        )  # fmt: skip
