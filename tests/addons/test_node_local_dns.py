"""NodeLocal DNS, kubelets and ports say the same: where pods ask, somebody listens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from generator.components.kubelet import COMPONENT, CONFIG
from generator.spec import ports
from generator.spec.model import Cluster
from tests.addons.cases import members, pod_specs
from tests.addons.corefiles import NODE_CACHE, Blocks, blocks
from tests.addons.made import made
from tests.components.clusters import shared, text
from tests.golden.addon_cases import ADDON_CASES, AddonCase, case_cluster
from tests.spec.samples import loaded

CASES = [case for case in ADDON_CASES if case.addon == "node-local-dns"]
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
ON = {"nodeLocalDNS": {"enabled": True}}


def corefile(case: AddonCase) -> Blocks:
    (found,) = (one for one in members(case) if one["kind"] == "ConfigMap")
    return blocks(found["data"]["Corefile.base"])


def arguments(case: AddonCase) -> Mapping[str, str]:
    ((_, spec),) = pod_specs(case)
    found = spec["containers"][0]["args"]
    pairs = [one for one in found if "=" not in one]
    return {
        **dict(zip(pairs[::2], pairs[1::2], strict=True)),
        **{one.partition("=")[0]: one.partition("=")[2] for one in found if "=" in one},
    }


def told(cluster: Cluster) -> list[str]:
    return list(yaml.safe_load(text(shared(COMPONENT, cluster), CONFIG))["clusterDNS"])


@EVERY_CASE
def test_the_image_has_every_plugin_of_its_corefile(case: AddonCase) -> None:
    assert {plugin for block in corefile(case).values() for plugin in block} <= NODE_CACHE


@EVERY_CASE
def test_what_kubelets_tell_pods_is_where_every_block_listens(case: AddonCase) -> None:
    cluster = case_cluster(case)
    listens = arguments(case)["-localip"].split(",")
    assert {tuple(block["bind"]) for block in corefile(case).values()} == {tuple(listens)}
    assert told(cluster)[0] in listens
    # Where kube-proxy lets nobody take the Service's address, pods are told nothing else.
    takes = cluster.network.proxy_mode == "iptables"
    assert (cluster.network.dns_ips[0] in listens) is takes
    assert told(cluster) == (list(cluster.network.dns_ips) if takes else listens)


@EVERY_CASE
def test_it_never_asks_itself(case: AddonCase) -> None:
    listens = arguments(case)["-localip"].split(",")
    for block in corefile(case).values():
        assert not set(listens) & set(block["forward"])
    placeholder = "__PILLAR__CLUSTER__DNS__"
    asks_placeholder = any(placeholder in block["forward"] for block in corefile(case).values())
    upstream = {one["metadata"]["name"] for one in members(case) if one["kind"] == "Service"}
    assert asks_placeholder is ("-upstreamsvc" in arguments(case)) is ("kube-dns-upstream" in upstream)


@EVERY_CASE
def test_ports_are_those_of_the_port_table(case: AddonCase) -> None:
    cluster = case_cluster(case)
    table = {
        (one.port, one.protocol): one
        for one in ports.listeners(cluster, cluster.pools["workers"])
        if one.component == "node-local-dns"
    }
    assert set(table) == {(53, "udp"), (53, "tcp"), (8080, "tcp"), (9253, "tcp"), (9353, "tcp")}
    metrics = {block["prometheus"][0] for block in corefile(case).values()} | {
        arguments(case)["-metrics-listen-address"]
    }
    address = "" if table[9253, "tcp"].scopes == ("any",) else "127.0.0.1"
    assert metrics == {f"{address}:9253", f"{address}:9353"}
    ((_, spec),) = pod_specs(case)
    probe = spec["containers"][0]["livenessProbe"]["httpGet"]
    local = cluster.addons.node_local_dns.local_address
    assert (probe["host"], probe["port"]) == (local, 8080)
    health = [block["health"] for block in corefile(case).values() if "health" in block]
    assert health == [[f"[{local}]:8080" if ":" in local else f"{local}:8080"]]


@pytest.mark.parametrize("mode", ["iptables", "ipvs", "nftables"])
def test_kubelets_are_told_nothing_new_where_it_is_off(mode: str) -> None:
    assert told(loaded(network={"proxyMode": mode})) == ["10.96.0.10"]


def test_only_iptables_gets_rules_and_their_lock() -> None:
    for mode, sets in (("iptables", True), ("ipvs", True), ("nftables", False)):
        spec: Any = made(addons=ON, network={"proxyMode": mode})["DaemonSet", "node-local-dns"]["spec"]
        (one,) = spec["template"]["spec"]["containers"]
        assert ("-setupiptables=false" in one["args"]) is not sets
        assert any(mount["name"] == "xtables-lock" for mount in one["volumeMounts"]) is sets
        assert ("NET_RAW" in one["securityContext"]["capabilities"]["add"]) is sets


def test_server_blocks_that_it_passes_over_are_warned_about() -> None:
    block = "legacy.example.net {\n    forward . 10.0.0.53\n}\n"
    warnings = loaded(addons={**ON, "coredns": {"extraServerBlocks": block}}).warnings
    assert len(warnings) == 1 and "passes over coredns.extraServerBlocks" in warnings[0]


def test_a_virtual_address_is_not_for_it() -> None:
    vip = {"address": "169.254.20.10/24", "role": "control-plane", "virtualRouterId": 51, "priorities": {"cp1": 9}}
    with pytest.raises(Exception, match=r"169\.254\.20\.10 is an address of the virtual address"):
        loaded(addons=ON, api={"vip": {**vip, "port": 9443}})


@pytest.mark.parametrize(("asked", "warned"), [("10.96.0.10", True), ("169.254.20.10", False)])
def test_a_kubelet_that_is_told_otherwise_is_warned_about(asked: str, warned: bool) -> None:
    override = {"kubelet": {"config": {"clusterDNS": [asked]}}}
    network = {"proxyMode": "nftables"}
    worker = {"pool": "workers", "address": "10.0.0.11", "components": override}
    hosts: dict[str, Any] = {"cp1": {"pool": "control", "address": "10.0.0.1"}, "w1": worker}
    for changes in ({"components": override}, {"hosts": hosts}):
        cluster = loaded(addons=ON, network=network, **changes)
        found = [one for one in cluster.warnings if f"tells pods {asked}, where addons.nodeLocalDNS" in one]
        assert bool(found) is warned
