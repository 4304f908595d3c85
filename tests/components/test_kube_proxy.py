from __future__ import annotations

import pytest
import yaml

from generator.components import kubelet
from generator.components.items import HostFile, HostUnit, SecretRef
from generator.components.kube_proxy import COMPONENT, CONFIG, KUBECONFIG
from generator.components.view import View
from generator.spec.flag_tables import Knowledge, known
from tests.components.clusters import MINORS, NamedMaterial, bridged, cluster, of_host, shared, text

PEM = "/var/lib/kubelet/pki/kubelet-client-current.pem"


@pytest.mark.parametrize("minor", MINORS)
def test_the_minor_knows_every_flag(minor: str) -> None:
    flags = COMPONENT.settings(View(cluster(f"{minor}.1"), NamedMaterial())).flags
    assert {flag: known("kube-proxy", minor, flag) for flag in flags} == dict.fromkeys(flags, Knowledge.KNOWN)


def test_listeners_are_on_loopback_and_the_mode_is_written() -> None:
    config = yaml.safe_load(text(shared(COMPONENT, cluster("1.20.2")), CONFIG))
    assert config["healthzBindAddress"] == "127.0.0.1:10256"
    assert config["metricsBindAddress"] == "127.0.0.1:10249"
    assert config["mode"] == "iptables"
    assert config["clusterCIDR"] == "10.244.0.0/16"
    assert yaml.safe_load(text(shared(COMPONENT, bridged()), CONFIG))["clusterCIDR"] == "10.244.0.0/16,fd00:10::/56"


def test_zero_can_be_set_for_conntrack() -> None:
    more = "components: {kube-proxy: {config: {conntrack: {maxPerCore: 0, min: 0}}}}"
    config = yaml.safe_load(text(shared(COMPONENT, cluster(more=more)), CONFIG))
    assert config["conntrack"] == {"maxPerCore": 0, "min": 0}


def test_it_waits_for_the_kubelets_certificate() -> None:
    items = shared(COMPONENT, cluster())
    assert f"PathExists={PEM}\n" in text(items, "/etc/systemd/system/kube-proxy.path")
    assert "[Install]" not in text(items, "/etc/systemd/system/kube-proxy.service")
    user = yaml.safe_load(text(items, KUBECONFIG))["users"][0]["user"]
    assert user == {"client-certificate": PEM, "client-key": PEM}
    units = {item.name: item.start for item in items.values() if isinstance(item, HostUnit)}
    assert units == {"kube-proxy.path": True, "kube-proxy.service": False}


def test_a_certificate_of_its_own_on_request() -> None:
    made = cluster(more="pki: {kubeProxyCertificate: true}")
    key = of_host(COMPONENT, made, "worker1")["/etc/kubernetes/pki/kube-proxy.key"]
    assert isinstance(key, HostFile)
    assert (key.content, key.mode, key.owner) == (SecretRef("pki/hosts/worker1/kube-proxy"), 0o400, "root")
    items = shared(COMPONENT, made)
    assert "PathExists=/etc/kubernetes/pki/kube-proxy.key\n" in text(items, "/etc/systemd/system/kube-proxy.path")
    assert PEM not in text(items, KUBECONFIG)
    assert "/etc/kubernetes/pki/kube-proxy.key" not in of_host(COMPONENT, cluster(), "worker1")


def test_node_name_equals_the_kubelets() -> None:
    made = cluster(more="nodeNaming: address")
    own = text(of_host(COMPONENT, made, "worker1"), "/etc/slipway/kube-proxy.env")
    assert own == "SLIPWAY_NODE_NAME=10.0.1.1\n"
    assert own in text(of_host(kubelet.COMPONENT, made, "worker1"), "/etc/slipway/kubelet.env")
