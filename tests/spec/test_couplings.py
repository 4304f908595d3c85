"""What lies just inside the rules is taken; what lies just outside stands in tests/errors."""

from typing import Any

import pytest

from generator.spec import ports
from generator.spec.operating_systems import ENDED, SUPPORTED
from generator.spec.versions import NEWEST_MINOR, OLDEST_MINOR, companions, incompatibilities, unsupported
from tests.spec.samples import faults_of, loaded, spec

MINORS = [f"1.{minor}" for minor in range(OLDEST_MINOR[1], NEWEST_MINOR[1] + 1)]


@pytest.mark.parametrize("minor", MINORS)
def test_the_defaults_of_every_supported_minor_go_together(minor: str) -> None:
    assert loaded(versions={"kubernetes": f"{minor}.0"}).warnings == ()


@pytest.mark.parametrize(
    ("kubernetes", "etcd", "containerd", "at_fault"),
    [
        ("1.20.2", "3.4.23", "1.6.20", []),
        ("1.22.0", "3.5.3", "1.7.24", []),
        ("1.22.0", "3.5.2", "2.0.0", ["etcd", "containerd"]),
        ("1.23.0", "3.5.3", "2.0.0", []),
        ("1.30.0", "3.4.37", "1.6.0", []),
        ("1.31.0", "3.5.10", "1.7.0", ["etcd"]),
        ("1.35.0", "3.5.21", "1.7.24", []),
        ("1.36.0", "3.6.0", "2.0.0", []),
        ("1.36.0", "3.7.0", "3.0.0", ["etcd", "containerd"]),
    ],
)
def test_versions_that_go_together(kubernetes: str, etcd: str, containerd: str, at_fault: list[str]) -> None:
    assert [one.component for one in incompatibilities(kubernetes, etcd, containerd)] == at_fault


def test_minors_outside_the_table_are_refused() -> None:
    assert [bool(unsupported(version)) for version in ("1.19.9", "1.20.0", "1.36.9", "1.37.0")] == [
        True,
        False,
        False,
        True,
    ]
    assert companions((1, 99)) == companions(NEWEST_MINOR)


def bridged(nodes: int) -> dict[str, Any]:
    return {
        "network": {"plugin": "bridge"},
        "hosts": {
            "cp1": {"pool": "control", "address": "10.0.0.1", "podSubnet": "10.244.0.0/24"},
            f"w[1:{nodes - 1}]": {
                "pool": "workers",
                "address": f"10.0.1.[1:{nodes - 1}]",
                "podSubnet": f"10.244.[1:{nodes - 1}].0/24",
            },
        },
    }


@pytest.mark.parametrize(
    "changes",
    [
        bridged(50),
        {"network": {"podCIDR": "10.244.0.0/16", "serviceCIDR": "172.16.0.0/12"}},
        {"network": {"serviceCIDR": "10.96.0.0/28"}},
        {"network": {"podCIDR": "10.244.0.0/23"}},
        {"network": {"podCIDR": "10.244.0.0/25", "nodeMaskSize": 26}},
        {"network": {"dnsIP": "10.96.255.254"}},
        {"network": {"nodePortRange": "10011-10247"}},
        {"api": {"endpoint": {"host": "10.0.0.100", "port": 443}}},
        {"versions": {"kubernetes": "1.32.0"}, "api": {"anonymousPaths": ["/livez"]}},
        {"versions": {"kubernetes": "1.31.0"}, "network": {"proxyMode": "nftables"}},
        {"sysctl": {"net.ipv4.ip_local_reserved_ports": "8443,30000-32767", "net.ipv4.ip_forward": 1}},
        {"pki": {"validity": {"ca": "1y", "leaf": "365d"}}},
        {"pki": {"externalCA": True, "validity": {"leaf": "90d"}}},
        {"directories": {"etcdData": "/data/etcd", "etcdWal": "/data/etcd-wal"}},
        {"components": {"kubelet": {"config": {"featureGates": {"NodeSwap": True}}}}},
        {"components": {"kubelet": {"config": {"clusterDNS": ["169.254.20.10"]}}}},
        {"components": {"kube-apiserver": {"flags": {"profiling": None}, "unit": {"Service": {"Nice": 5}}}}},
    ],
)  # fmt: skip
def test_what_lies_just_inside_is_taken(changes: dict[str, Any]) -> None:
    assert faults_of(**changes) == ""


@pytest.mark.parametrize("system", SUPPORTED)
def test_every_supported_system_loads_where_its_kernel_suffices(system: str) -> None:
    pools = {**spec()["pools"], "workers": {"roles": ["worker"], "os": system}}
    assert faults_of(pools=pools, versions={"kubernetes": "1.34.0"}) == ""
    refused = faults_of(pools=pools, versions={"kubernetes": "1.35.0"})
    assert ("cgroup v1" in refused) is not SUPPORTED[system].cgroup_v2
    accepted = {"kubelet": {"config": {"failCgroupV1": False}}}
    assert faults_of(pools=pools, versions={"kubernetes": "1.35.0"}, components=accepted) == ""


@pytest.mark.parametrize("system", ENDED)
def test_every_ended_system_is_refused_with_the_way_up(system: str) -> None:
    message = faults_of(pools={**spec()["pools"], "workers": {"roles": ["worker"], "os": system}})
    assert f"{system} has ended" in message
    assert ENDED[system] in message


def test_no_two_components_want_one_port() -> None:
    cluster = loaded(
        pools={"all": {"roles": ["etcd", "control-plane", "worker", "load-balancer"]}},
        hosts={"h": {"pool": "all", "address": "10.0.0.1"}},
        api={"endpoint": {"host": "api.example.net", "port": 443}},
    )
    found = ports.listeners(cluster, cluster.pools["all"])
    assert len({listener.port for listener in found}) == len(found) == 13


@pytest.mark.parametrize("port", [2379, 2380, 2381, 10010, 10248, 10249, 10250, 10256, 10257, 10259, 22])
def test_the_api_cannot_take_a_port_that_is_taken(port: int) -> None:
    assert f"port {port}" in faults_of(api={"port": port})
