from __future__ import annotations

from typing import Any

import pytest
import yaml

from generator.components.items import HostFile, HostLink, HostUnit
from generator.components.kubelet import COMPONENT, CONFIG, KUBECONFIG, REGISTRATION_ENV, RESOLV_CONF, UNIT
from generator.components.view import View
from generator.spec.flag_tables import Knowledge, known
from tests.components.clusters import MINORS, NamedMaterial, bridged, cluster, of_host, of_pool, shared, text

UNIT_FILE = f"/etc/systemd/system/{UNIT}"


def config(kubernetes: str, more: str = "") -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text(shared(COMPONENT, cluster(kubernetes, more)), CONFIG))
    return loaded


@pytest.mark.parametrize("minor", MINORS)
def test_the_minor_knows_every_flag(minor: str) -> None:
    flags = COMPONENT.settings(View(cluster(f"{minor}.1"), NamedMaterial())).flags
    assert {flag: known("kubelet", minor, flag) for flag in flags} == dict.fromkeys(flags, Knowledge.KNOWN)


def test_runtime_endpoint_is_where_the_minor_reads_it() -> None:
    old = COMPONENT.settings(View(cluster("1.26.0"), NamedMaterial()))
    assert old.flags["container-runtime"] == "remote"
    assert old.flags["container-runtime-endpoint"] == "unix:///run/containerd/containerd.sock"
    assert "containerRuntimeEndpoint" not in old.config
    new = COMPONENT.settings(View(cluster("1.27.0"), NamedMaterial()))
    assert not {"container-runtime", "container-runtime-endpoint"} & set(new.flags)
    assert new.config["containerRuntimeEndpoint"] == "unix:///run/containerd/containerd.sock"


def test_hardened_and_coupled_to_the_cluster() -> None:
    made = config("1.20.2", "runtime: {cgroupDriver: cgroupfs}")
    assert made["authentication"]["anonymous"] == {"enabled": False}
    assert made["authentication"]["webhook"]["enabled"] is True
    assert made["authentication"]["x509"] == {"clientCAFile": "/etc/kubernetes/pki/ca.crt"}
    assert made["authorization"]["mode"] == "Webhook"
    assert (made["readOnlyPort"], made["healthzBindAddress"]) == (0, "127.0.0.1")
    assert made["serverTLSBootstrap"] and made["rotateCertificates"] and made["protectKernelDefaults"]
    assert made["cgroupDriver"] == "cgroupfs"
    assert (made["clusterDNS"], made["clusterDomain"]) == (["10.96.0.10"], "cluster.local")
    assert not {"staticPodPath", "failCgroupV1", "seccompDefault", "podCIDR"} & set(made)


def test_an_override_is_merged_deep_and_null_removes() -> None:
    more = "components: {kubelet: {config: {evictionHard: {memory.available: 1Gi}, kubeReserved: null}}}"
    made = config("1.36.1", more)
    assert made["evictionHard"]["memory.available"] == "1Gi"
    assert made["evictionHard"]["nodefs.available"] == "10%"
    assert "kubeReserved" not in made


def test_the_unit_expands_host_facts_and_no_more() -> None:
    unit = text(shared(COMPONENT, cluster("1.20.2")), UNIT_FILE)
    copy = "/usr/bin/install -m 0600 /etc/kubernetes/kubelet.kubeconfig /var/lib/kubelet/kubeconfig"
    assert f"ExecStartPre={copy}\n" in unit
    for word in (
        "--hostname-override=${SLIPWAY_NODE_NAME}",
        "--node-ip=${SLIPWAY_NODE_IP}",
        "--root-dir=/var/lib/kubelet",
        "--bootstrap-kubeconfig=/run/slipway/bootstrap-kubelet.kubeconfig",
    ):
        assert word in unit


def test_a_users_unit_keys_come_sorted() -> None:
    one = cluster(more="components: {kubelet: {unit: {Service: {Nice: 1, CPUWeight: 2}, Unit: {}}}}")
    two = cluster(more="components: {kubelet: {unit: {Unit: {}, Service: {CPUWeight: 2, Nice: 1}}}}")
    assert text(shared(COMPONENT, one), UNIT_FILE) == text(shared(COMPONENT, two), UNIT_FILE)


def test_taints_are_the_pools_and_restart_nothing() -> None:
    taints = "[{key: b, effect: NoExecute}, {key: a, value: x, effect: NoSchedule}]"
    made = cluster(pools=f"gpu: {{roles: [worker], taints: {taints}}}", hosts="gpu1: {pool: gpu, address: 10.0.2.1}")
    item = of_pool(COMPONENT, made, "gpu")[REGISTRATION_ENV]
    assert isinstance(item, HostFile)
    assert item.content == "SLIPWAY_REGISTER_WITH_TAINTS=a=x:NoSchedule,b=:NoExecute\n"
    assert item.restarts == ()
    assert text(of_pool(COMPONENT, made, "workers"), REGISTRATION_ENV) == "SLIPWAY_REGISTER_WITH_TAINTS=\n"


def test_resolved_only_where_the_os_runs_it() -> None:
    made = cluster()
    targets = {pool: of_pool(COMPONENT, made, pool)[RESOLV_CONF] for pool in made.pools}
    assert {pool: item.target for pool, item in targets.items() if isinstance(item, HostLink)} == {
        "control": "/etc/resolv.conf",
        "workers": "/run/systemd/resolve/resolv.conf",
    }


def test_host_facts() -> None:
    facts = text(of_host(COMPONENT, bridged(), "cp1"), "/etc/slipway/kubelet.env")
    assert facts == "SLIPWAY_NODE_IP=10.0.0.1,fd00::1\nSLIPWAY_NODE_NAME=cp1\n"


def test_kubeconfig_leads_to_the_local_balancer_with_the_rotated_certificate() -> None:
    made = cluster(more="directories: {kubelet: /data/kubelet}\napi: {balancerPort: 8444}")
    written = yaml.safe_load(text(shared(COMPONENT, made), KUBECONFIG))
    assert written["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:8444"
    user = written["users"][0]["user"]
    assert user == dict.fromkeys(("client-certificate", "client-key"), "/data/kubelet/pki/kubelet-client-current.pem")


def test_drain_key_changes_with_what_pods_cannot_live_through() -> None:
    def key(made: Any) -> str:
        item = shared(COMPONENT, made)[f"unit:{UNIT}"]
        assert isinstance(item, HostUnit)
        return item.drain_key

    base = key(cluster("1.33.1"))
    assert key(cluster("1.33.9")) == base
    assert key(cluster("1.33.1", "sysctl: {vm.max_map_count: '1'}")) == base
    assert key(cluster("1.32.1")) != base
    assert key(cluster("1.33.1", "runtime: {cgroupDriver: cgroupfs}")) != base
