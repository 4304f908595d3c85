"""What a cluster survives by itself, and what it must refuse: lost data, a stolen peer certificate, a reboot."""

from __future__ import annotations

import base64
import json

import pytest

from tests.lab.cluster_under_test import LabCluster, until
from tests.lab.test_drift import apply, plan

pytestmark = pytest.mark.lab

CONTROL = ("cp1", "cp2", "cp3")
PEER = "/etc/etcd/pki/peer"
ETCDCTL = (
    "ETCDCTL_API=3 /usr/local/bin/etcdctl --cacert=/etc/etcd/pki/ca.crt"
    " --cert=/etc/etcd/pki/healthcheck-client.crt --key=/etc/etcd/pki/healthcheck-client.key"
)


def healthy(lab: LabCluster, *hosts: str) -> bool:
    return all(
        lab.try_sh(host, f"{ETCDCTL} --endpoints=https://127.0.0.1:2379 endpoint health").returncode == 0
        for host in hosts
    )


def serving(lab: LabCluster, *hosts: str) -> bool:
    return all(
        lab.try_sh(host, "curl -s -o /dev/null --cacert /etc/kubernetes/pki/ca.crt https://127.0.0.1:6443/").returncode
        == 0
        for host in hosts
    )


@pytest.mark.parametrize("lost", ["data", pytest.param("mount", marks=pytest.mark.lab_long)])
def test_a_member_without_its_data_stays_down_and_the_cluster_keeps_its_own(lab: LabCluster, lost: str) -> None:
    lab.kubectl("create", "configmap", f"before-{lost}")
    lab.sh("cp3", "systemctl stop etcd")
    if lost == "data":
        lab.sh("cp3", "mv /var/lib/etcd/member /var/lib/etcd-kept")
    else:
        # What is left of a mount that did not come: an empty folder in its place.
        lab.sh("cp3", "mv /var/lib/etcd /var/lib/etcd-kept && install -d -m 0700 -o etcd -g etcd /var/lib/etcd")
    try:
        assert lab.try_sh("cp3", "systemctl start etcd").returncode != 0
        assert lab.sh("cp3", "systemctl show -P AssertResult etcd").strip() == "no"
        assert healthy(lab, "cp1", "cp2")
        lab.kubectl("create", "configmap", f"during-{lost}")
        plan = lab.invoke("plan")
        assert "left out: cp3" in plan.stdout and "etcd has formed and this host has no data" in plan.stdout
        applied = lab.invoke("apply", "--yes")
        assert applied.returncode == 0, applied.stdout + applied.stderr
        assert "cp3" in applied.stderr
        empty = "test ! -e /var/lib/etcd/member && ! systemctl -q is-active etcd"
        assert lab.try_sh("cp3", empty).returncode == 0, "no apply starts a member without data"
        members = json.loads(lab.sh("cp1", f"{ETCDCTL} --endpoints=https://127.0.0.1:2379 member list -w json"))
        assert len(members["members"]) == 3
    finally:
        if lost == "data":
            lab.sh("cp3", "mv /var/lib/etcd-kept /var/lib/etcd/member")
        else:
            lab.sh("cp3", "rmdir /var/lib/etcd && mv /var/lib/etcd-kept /var/lib/etcd")
        lab.sh("cp3", "systemctl start etcd")
    until(lambda: healthy(lab, *CONTROL), 60)
    for name in ("before", "during"):
        lab.kubectl("get", "configmap", f"{name}-{lost}")


def test_a_peer_certificate_is_refused_from_the_address_of_another_host(lab: LabCluster) -> None:
    ask = (
        # -quiet waits for the other side to close: a client that leaves at the end of its input may miss the answer.
        "printf 'GET /members HTTP/1.1\\r\\nHost: etcd\\r\\nConnection: close\\r\\n\\r\\n' |"
        " timeout 20 openssl s_client -quiet -connect {address}:2380 -CAfile /etc/etcd/pki/ca.crt"
        " -cert {pair}.crt -key {pair}.key 2>/dev/null"
    )
    address = lab.addresses["cp3"]
    own = lab.try_sh("cp2", ask.format(address=address, pair=PEER)).stdout
    assert "HTTP/1.1" in own, "a member answers its peer"
    pair = {end: lab.sh("cp1", f"base64 -w0 {PEER}.{end}") for end in ("crt", "key")}
    stolen = "/run/stolen-peer"
    for end, text in pair.items():
        assert base64.b64decode(text)
        lab.sh("cp2", f"umask 077; printf %s '{text}' | base64 -d >{stolen}.{end}")
    try:
        refused = lab.try_sh("cp2", ask.format(address=address, pair=stolen)).stdout
        assert "HTTP" not in refused
        log = lab.sh("cp3", "journalctl -u etcd --no-pager -o cat --since '-60s'")
        assert "rejected connection" in log and lab.addresses["cp2"] in log
    finally:
        lab.sh("cp2", f"rm -f {stolen}.crt {stolen}.key")


@pytest.mark.lab_long
@pytest.mark.parametrize("host", ["cp2", "w1"])
def test_a_rebooted_host_comes_back_ready_by_itself(lab: LabCluster, host: str) -> None:
    nodes = {node["metadata"]["name"] for node in lab.kubectl_json("get", "nodes")["items"]}
    booted = "systemctl show -P UserspaceTimestampMonotonic"
    before = lab.sh(host, booted)
    lab.lab_stop(host)
    until(lambda: not lab.all_ready(sorted(nodes)), 120)
    lab.lab_start(host)
    until(lambda: lab.all_ready(sorted(nodes)), 180)
    assert lab.sh(host, booted) != before
    if host in CONTROL:
        until(lambda: healthy(lab, *CONTROL) and serving(lab, *CONTROL), 120)
    assert lab.invoke("plan").returncode == 0


def test_objects_and_labels_are_put_back(lab: LabCluster) -> None:
    listed = lab.kubectl_json("get", "node", "w1")["metadata"]["labels"]
    lab.kubectl("label", "node", "w1", "node-role.kubernetes.io/worker-")
    lab.kubectl("delete", "clusterrolebinding", "slipway:readers")
    stranger = '[{"op": "replace", "path": "/subjects/0/name", "value": "somebody"}]'
    lab.kubectl("patch", "clusterrolebinding", "slipway:csr-approver", "--type=json", "-p", stranger)
    found = {one["name"].split()[-1]: one["action"] for one in plan(lab)["objects"]}
    assert found["slipway:readers"] == "create", found
    assert found["slipway:csr-approver"] == found["w1"] == "change", found
    apply(lab)
    assert lab.kubectl_json("get", "node", "w1")["metadata"]["labels"] == listed
    lab.kubectl("get", "clusterrolebinding", "slipway:readers")
    # Whoever takes the administrators' own rights away locks every kubeconfig out but the next apply's.
    lab.kubectl("delete", "clusterrolebinding", "slipway:admins")
    apply(lab)
    lab.kubectl("get", "clusterrolebinding", "slipway:admins")
