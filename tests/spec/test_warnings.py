"""What is doubtful is said, and stops nothing."""

from typing import Any

import pytest
import yaml

from generator.spec import load_text
from tests.spec.samples import loaded, spec


def _zoned(*zones: str) -> dict[str, Any]:
    return {
        **{
            f"cp{number}": {"pool": "control", "address": f"10.0.0.{number}", "zone": zone}
            for number, zone in enumerate(zones, 1)
        },
        "w1": {"pool": "workers", "address": "10.0.0.11"},
    }


_ONE_CARRIER = {
    "address": "10.0.0.100", "role": "control-plane", "virtualRouterId": 51, "priorities": {"cp1": 9}, "port": 9443,
}  # fmt: skip


@pytest.mark.parametrize(
    ("zones", "warned"),
    [
        (("a", "b", "c"), []),
        (("a", "a", "b"), ["the loss of zone a takes 2 of 3 members of etcd"]),
        (
            ("a", "a", "a"),
            ["the loss of zone a takes 3 of 3 members of etcd", "the loss of zone a takes every API server"],
        ),
    ],
)
def test_zones_whose_loss_is_too_much_are_warned_about(zones: tuple[str, ...], warned: list[str]) -> None:
    warnings = loaded(hosts=_zoned(*zones)).warnings
    assert len(warnings) == len(warned)
    assert all(any(text in warning for warning in warnings) for text in warned)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"components": {"kube-apiserver": {"flags": {"apiserver-count": 3}}}}, "deprecated since Kubernetes 1.24"),
        (
            {
                "versions": {"kubernetes": "1.23.0"},
                "components": {"kube-apiserver": {"flags": {"tracing-config-file": "/x"}}},
            },
            "unproven",
        ),
        ({"components": {"etcd": {"flags": {"brand-new": 1}}}}, "unproven"),
        ({"components": {"kube-apiserver": {"flags": {"enable-admission-plugins": None}}}}, "without NodeRestriction"),
        (
            {"components": {"kube-apiserver": {"flags": {"disable-admission-plugins": ["NodeRestriction"]}}}},
            "without NodeRestriction",
        ),
        ({"network": {"nodeMaskSize": 26}}, "takes up to 110 pods, but a node's range of /26 has room for 61"),
        ({"components": {"kubelet": {"config": {"maxPods": 300}}}}, "takes up to 300 pods"),
        ({"encryption": {"provider": "none"}}, "plain text"),
        (
            {
                "versions": {"kubernetes": "1.20.2"},
                "components": {"kube-apiserver": {"flags": {"enable-swagger-ui": 1}}},
            },
            "no longer shows it",
        ),
        ({"encryption": {"provider": "aesgcm"}}, "rotated every 200,000 writes"),
        ({"encryption": {"resources": ["configmaps"]}}, "secrets are not among"),
        ({"pki": {"validity": {"leaves": {"kube-proxy": "90d"}}}}, "no certificate of its own"),
        (
            {
                "pki": {"validity": {"leaves": {"addons/metrics-server": "90d"}}},
                "addons": {"metricsServer": {"enabled": False}},
            },
            "metrics-server does not run, so it has no certificate",
        ),
        ({"pki": {"validity": {"ca": "200d", "leaf": "90d"}}}, "less than a year"),
        ({"runtime": {"registries": [{"host": "quay.io", "skipVerify": True}]}}, "can change images"),
        ({"pools": {**spec()["pools"], "lb": {"roles": ["load-balancer"], "labels": {"a": "b"}}}}, "carry no labels"),
        ({"hosts": {**spec()["hosts"], "e[1:8]": {"pool": "control", "address": "10.0.2.[1:8]"}}}, "every write waits"),
        ({"hosts": {**spec()["hosts"], "w2": {"pool": "workers", "address": "10.0.2.1", "zone": "a"}}}, "but cp1 not"),
        ({"network": {"proxyMode": "ipvs"}}, "ipvs is deprecated"),
        ({"runtime": {"cgroupDriver": "cgroupfs"}}, "cgroupfs"),
        ({"pools": {**spec()["pools"], "spare": {"roles": ["worker"]}}}, "pool spare has no host"),
        ({"hosts": {"cp1": spec()["hosts"]["cp1"]}}, "no pod of yours will run"),
        ({"api": {"vip": _ONE_CARRIER}}, "has no prefix, so nobody can say whether it lies in the network"),
        ({"api": {"vip": _ONE_CARRIER}}, "only cp1 carries the virtual address, so it ends with that host"),
        (
            {"addons": {"etcdBackup": {"enabled": True, "target": {"hostPath": "/srv/etcd"}}}},
            "a copy on the host that it backs up is lost together with it",
        ),
        ({"addons": {"etcdBackup": {"enabled": True, "target": {"pvc": {}}}}}, "snapshots are not encrypted"),
        (
            {"addons": {"etcdBackup": {"enabled": True, "target": {"pvc": {}}}}},
            "addons.etcdBackup.target.pvc: nothing will bind this claim: there is no default class",
        ),
        (
            {"addons": {"localPath": {"enabled": True}, "etcdBackup": {"enabled": True, "target": {"pvc": {}}}}},
            "addons.etcdBackup.target.pvc: a copy on the host that it backs up is lost together with it",
        ),
        (
            {"addons": {"etcdBackup": {"enabled": True, "target": {"nfs": {"server": "cp1", "path": "/srv"}}}}},
            "addons.etcdBackup.target.nfs.server: cp1 is a host of this cluster",
        ),
        (
            {
                "addons": {
                    "etcdBackup": {
                        "enabled": True,
                        "target": {"nfs": {"server": "nfs", "path": "/srv", "mountOptions": ["hard"]}},
                    }
                }
            },
            "with hard a server that is away holds the backup for ever",
        ),
        (
            {
                "versions": {"kubernetes": "1.24.17"},
                "addons": {"etcdBackup": {"enabled": True, "by": "cronjob", "target": {"pvc": {}}}},
            },
            "CronJobs know none below Kubernetes 1.25",
        ),
        (
            {"api": {"nodesUse": "endpoint", "endpoint": {"host": "api.example.net"}}},
            "nginx runs on every node, and nodes use the endpoint",
        ),
    ],
)  # fmt: skip
def test_what_is_doubtful_is_a_warning(changes: dict[str, Any], text: str) -> None:
    assert any(text in warning for warning in loaded(**changes).warnings)


def test_a_plain_cluster_has_no_warnings() -> None:
    assert loaded(hosts=spec()["hosts"]).warnings == ()


def test_an_audit_policy_that_is_not_used_is_warned_about() -> None:
    text = yaml.safe_dump(spec(audit={"enabled": False, "policy": "audit.yaml"}))
    cluster = load_text(text, files={"audit.yaml": "rules: []\n"})
    assert cluster.audit.policy == "rules: []\n"
    assert len(cluster.warnings) == 1


MANAGED = {"mode": "managed", "operators": ["10.1.0.0/24"]}
WORKERS = {"control": {"roles": ["etcd", "control-plane"]}, "workers": {"roles": ["worker"]}}
DISK = {"device": "/dev/disk/by-id/one", "mount": "/data"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"firewall": MANAGED}, "nothing is open between nodes for the pod network of your own"),
        ({"firewall": {**MANAGED, "nodeProtocols": ["ipip"]}}, ""),
        ({"firewall": MANAGED, "listeners": [{"port": 8472, "protocol": "udp", "from": ["nodes"]}]}, ""),
        ({"firewall": {**MANAGED, "nodeProtocols": ["gre"], "operators": ["0.0.0.0/0"]}}, "opens sshd to everybody"),
        (
            {"firewall": {**MANAGED, "nodeProtocols": ["gre"]}, "ssh": {"jumps": [{"address": "jump.example.net"}]}},
            "the jump host jump.example.net is a name, and a rule set holds addresses",
        ),
        ({"firewall": {"operators": ["10.1.0.0/24"]}}, "is not used: firewall.mode is keep"),
        ({"listeners": [{"port": 9100, "from": ["anyone", "nodes"]}]}, "names anyone and others, who are anyone too"),
        (
            {"pools": {**WORKERS, "workers": {"roles": ["worker"], "disks": [{**DISK, "holds": ["etcd"]}]}}},
            "names etcd, but hosts of pool workers have no role that runs it",
        ),
        ({"pools": {**WORKERS, "workers": {"roles": ["worker"], "disks": [{**DISK, "holds": ["kubelet"]}]}}}, ""),
        (
            {"pools": {**WORKERS, "workers": {"roles": ["worker"], "os": "rocky-9", "gpu": {"vendor": "nvidia"}}}},
            "rocky-9 has no package nvidia-container-toolkit, and no package source for dnf is named",
        ),
    ],
)
def test_firewall_disks_and_gpus_that_may_not_be_meant(changes: dict[str, Any], text: str) -> None:
    warnings = loaded(**changes).warnings
    assert len(warnings) == (1 if text else 0), warnings
    assert all(text in warning for warning in warnings)
