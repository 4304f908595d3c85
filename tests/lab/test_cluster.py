"""One cluster, from bare hosts to Ready, and what it must show: three hosts with etcd and control plane, two workers.

The tests run in the order in which they stand: they share one bring-up (conftest.py), and later ones change it.
"""

from __future__ import annotations

import json
import secrets
import shutil

import pytest

from tests.lab.cluster_under_test import LabCluster, until

pytestmark = pytest.mark.lab

CONTROL = ("cp1", "cp2", "cp3")
WORKERS = ("w1", "w2")
NODES = CONTROL + WORKERS
ETCDCTL = (
    "ETCDCTL_API=3 /usr/local/bin/etcdctl --cacert=/etc/etcd/pki/ca.crt"
    " --cert=/etc/etcd/pki/healthcheck-client.crt --key=/etc/etcd/pki/healthcheck-client.key"
)
ALL_MEMBERS = "--endpoints=" + ",".join(f"https://{{{host}}}:2379" for host in CONTROL)


def member_urls(lab: LabCluster) -> str:
    return ALL_MEMBERS.format(**lab.addresses)


def test_one_apply_reports_success(lab: LabCluster) -> None:
    assert lab.first_apply.returncode == 0, lab.first_apply.stdout + lab.first_apply.stderr


def test_etcd_has_three_healthy_members(lab: LabCluster) -> None:
    health = json.loads(lab.sh("cp1", f"{ETCDCTL} {member_urls(lab)} endpoint health -w json"))
    assert [member["health"] for member in health] == [True, True, True]
    members = json.loads(lab.sh("cp1", f"{ETCDCTL} --endpoints=https://127.0.0.1:2379 member list -w json"))["members"]
    assert sorted(member["name"] for member in members) == sorted(CONTROL)
    assert all(url.startswith("https://") for member in members for url in member["peerURLs"] + member["clientURLs"])


def test_etcd_refuses_a_client_without_a_certificate(lab: LabCluster) -> None:
    ask = "curl -sS -o /dev/null -w '%{http_code}' --max-time 10 --cacert /etc/etcd/pki/ca.crt"
    own = "--cert /etc/etcd/pki/healthcheck-client.crt --key /etc/etcd/pki/healthcheck-client.key"
    client = f"https://{lab.addresses['cp1']}:2379/health"
    for url in (client, f"https://{lab.addresses['cp2']}:2380/members"):
        refused = lab.try_sh("cp1", f"{ask} {url}")
        assert refused.returncode != 0, url
        assert refused.stdout == "000", url
    assert lab.sh("cp1", f"{ask} {own} {client}") == "200"


def test_three_api_servers_are_ready_and_ask_who_is_there(lab: LabCluster) -> None:
    for host in CONTROL:
        url = f"https://{lab.addresses[host]}:6443"
        assert lab.kubectl("get", "--raw", "/readyz", f"--server={url}") == "ok"
        code = lab.sh("w1", f"curl -s -o /dev/null -w '%{{http_code}}' --cacert /etc/kubernetes/pki/ca.crt {url}/api")
        assert code == "401"


def test_controllers_are_healthy_and_one_of_each_leads(lab: LabCluster) -> None:
    for host in CONTROL:
        for port in (10257, 10259):
            health = f"curl -sS --max-time 5 --cacert /etc/kubernetes/pki/ca.crt https://127.0.0.1:{port}/healthz"
            assert lab.sh(host, health) == "ok"
    for name in ("kube-controller-manager", "kube-scheduler"):
        lease = lab.kubectl_json("get", "lease", "-n", "kube-system", name)
        assert lease["spec"]["holderIdentity"].split("_")[0] in CONTROL
        assert lease["metadata"]["resourceVersion"] != lab.kubectl_after("lease", name)


def test_all_five_nodes_are_ready(lab: LabCluster) -> None:
    nodes = lab.kubectl_json("get", "nodes")["items"]
    assert sorted(node["metadata"]["name"] for node in nodes) == sorted(NODES)
    for node in nodes:
        conditions = {condition["type"]: condition["status"] for condition in node["status"]["conditions"]}
        assert conditions["Ready"] == "True", node["metadata"]["name"]
        role = "control-plane" if node["metadata"]["name"] in CONTROL else "worker"
        assert f"node-role.kubernetes.io/{role}" in node["metadata"]["labels"]
    tainted = {node["metadata"]["name"] for node in nodes if node["spec"].get("taints")}
    assert tainted == set(CONTROL)


def test_no_bootstrap_token_is_left(lab: LabCluster) -> None:
    left = lab.kubectl_json(
        "get", "secrets", "-n", "kube-system", "--field-selector", "type=bootstrap.kubernetes.io/token"
    )
    assert left["items"] == []
    for host in NODES:
        assert lab.try_sh(host, "test -e /run/slipway/bootstrap-kubelet.kubeconfig").returncode != 0


def test_no_worker_holds_a_key_that_we_made(lab: LabCluster) -> None:
    for host in WORKERS:
        keys = lab.sh(
            host, "find /etc /opt /var/lib/slipway -xdev -name '*.key' -not -path '/etc/ssl/*' -not -path '/etc/ssh/*'"
        )
        assert keys == ""


def test_pods_start_and_logs_and_exec_work(lab: LabCluster) -> None:
    lab.start_web_pods(WORKERS)
    for worker in WORKERS:
        assert lab.kubectl("exec", f"web-{worker}", "--", "/bin/busybox", "cat", "/www/index.html").strip() == worker
        assert "listening" in lab.kubectl("logs", f"web-{worker}")


def test_the_kubelet_serving_certificate_is_of_the_cluster_ca(lab: LabCluster) -> None:
    for host in NODES:
        address = lab.addresses[host]
        trusted = "-CAfile /etc/kubernetes/pki/ca.crt -verify_return_error"
        check = f"openssl s_client -connect {address}:10250 -verify_ip {address} {trusted} </dev/null 2>/dev/null"
        assert "Verification: OK" in lab.sh("cp1", check)


def test_a_pod_reaches_the_pod_of_the_other_worker(lab: LabCluster) -> None:
    for here, there in (WORKERS, WORKERS[::-1]):
        address = lab.pod_ip(f"web-{there}")
        # busybox wget, linked statically against glibc, crashes in its resolver; nc takes the address as it is.
        asked = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | /bin/busybox nc -w 5 {address} 8080"
        page = lab.kubectl("exec", f"web-{here}", "--", "/bin/busybox", "sh", "-c", asked)
        assert page.splitlines()[-1] == there


def test_a_service_answers_from_every_node(lab: LabCluster) -> None:
    address = lab.service_ip()
    for host in NODES:
        until(
            lambda host=host: lab.try_sh(host, f"curl -sS --max-time 5 http://{address}/").stdout.strip() in WORKERS, 60
        )


def test_a_secret_is_encrypted_in_etcd(lab: LabCluster) -> None:
    word = secrets.token_hex(12)
    lab.kubectl("create", "secret", "generic", "sealed", f"--from-literal=word={word}")
    stored = lab.sh(
        "cp1",
        f"{ETCDCTL} --endpoints=https://127.0.0.1:2379"
        " get /registry/secrets/default/sealed --print-value-only | base64",
    )
    raw = lab.decoded(stored)
    assert raw.startswith(b"k8s:enc:secretbox:v1:")
    assert word.encode() not in raw
    assert lab.kubectl_json("get", "secret", "sealed")["metadata"]["name"] == "sealed"


def test_forged_serving_requests_stay_pending(lab: LabCluster) -> None:
    names = lab.create_forged_csrs("w1")
    assert len(names) >= 5
    lab.sh("cp1", "systemctl start csr-approver.service")
    assert lab.invoke("apply").returncode == 0
    for name in names:
        assert "conditions" not in lab.kubectl_json("get", "csr", name)["status"], name
        assert "certificate" not in lab.kubectl_json("get", "csr", name)["status"], name
    log = lab.sh("cp1", "journalctl -u csr-approver.service --no-pager -o cat")
    assert all(name in log for name in names)
    lab.kubectl("delete", "csr", *names)


def test_a_second_apply_changes_and_restarts_nothing(lab: LabCluster) -> None:
    before = lab.unit_starts(NODES)
    plan = lab.invoke("plan", "--json")
    assert plan.returncode == 0, plan.stdout + plan.stderr
    again = lab.invoke("apply")
    assert again.returncode == 0, again.stdout + again.stderr
    assert lab.unit_starts(NODES) == before


def test_the_api_answers_through_each_local_balancer_with_one_control_plane_host_stopped(lab: LabCluster) -> None:
    lab.lab_stop("cp3")
    try:
        for host in ("cp1", "cp2", *WORKERS):
            probe = (
                "curl -sS --max-time 5 --cacert /etc/kubernetes/pki/ca.crt"
                " --cert /var/lib/kubelet/pki/kubelet-client-current.pem"
                " --key /var/lib/kubelet/pki/kubelet-client-current.pem https://127.0.0.1:8443/readyz"
            )
            until(lambda host=host, probe=probe: lab.try_sh(host, probe).stdout == "ok", 30)
            answers = [lab.try_sh(host, probe).stdout for _ in range(6)]
            assert answers.count("ok") == 6, (host, answers)
    finally:
        lab.lab_start("cp3")
    until(lambda: lab.all_ready(NODES), 180)


def test_one_kubelet_flag_is_one_file_and_rolls_the_kubelets_only(lab: LabCluster) -> None:
    lab.commit("before the flag")
    lab.edit_spec(
        lambda spec: (
            spec.setdefault("components", {}).setdefault("kubelet", {}).setdefault("flags", {}).update({"v": 3})
        )
    )
    assert lab.invoke("render").returncode == 0
    unit = "components/kubelet/rootfs/etc/systemd/system/kubelet.service"
    assert lab.changed("rendered") == [unit, "overrides.yaml"]
    plan = lab.invoke("plan", "--json")
    assert plan.returncode == 2, plan.stdout + plan.stderr
    assert lab.planned_restarts(plan.stdout) == {(host, "kubelet.service") for host in NODES}
    before = lab.unit_starts(NODES)
    assert lab.invoke("apply", "--yes").returncode == 0
    after = lab.unit_starts(NODES)
    assert {key for key in before if before[key] != after.get(key)} == {(host, "kubelet.service") for host in NODES}
    lab.commit("the flag, everywhere")
    lab.edit_spec(
        lambda spec: (
            spec["hosts"]["w1"]
            .setdefault("components", {})
            .setdefault("kubelet", {})
            .setdefault("flags", {})
            .update({"v": 4})
        )
    )
    assert lab.invoke("render").returncode == 0
    assert {path for path in lab.changed("rendered") if not path.startswith("hosts/w1/")} == {"overrides.yaml"}
    assert lab.planned_restarts(lab.invoke("plan", "--json").stdout) == {("w1", "kubelet.service")}
    assert lab.invoke("apply", "--yes").returncode == 0
    lab.commit("the flag, on one host")


def test_rendering_anew_leaves_git_clean(lab: LabCluster) -> None:
    for environment in (
        {"PYTHONHASHSEED": "1", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo"},
    ):
        shutil.rmtree(lab.rendered)
        assert lab.invoke("render", environment=environment).returncode == 0
        assert lab.git("status", "--porcelain") == ""
    lab.shuffle_hosts()
    assert lab.invoke("render").returncode == 0
    assert lab.changed("rendered") == []


def test_the_machine_keeps_its_own_kernel_settings(lab: LabCluster) -> None:
    assert lab.kernel_settings() == lab.kernel_settings_before


def test_a_sixth_host_joins_by_one_line(lab: LabCluster) -> None:
    """Late in the session (conftest.ORDER): until then five nodes are all there are."""
    before = lab.unit_starts(NODES)
    lab.add_worker("w3")
    assert lab.invoke("render").returncode == 0
    touched = lab.changed("rendered")
    assert {path for path in touched if not path.startswith("hosts/w3/")} == {
        "inventory.yaml",
        "components/bridge/rootfs/etc/bridge/routes",
        "objects/00-cluster-rbac/ConfigMap-kube-system-slipway-nodes.yaml",
    }
    assert all(added == 1 and removed == 0 for added, removed in lab.changed_lines("rendered", outside="hosts/w3/"))
    lab.accept_host_key("w3")
    joined = lab.invoke("apply", "--yes", "--source", str(lab.artifacts))
    assert joined.returncode == 0, joined.stdout + joined.stderr
    assert lab.all_ready((*NODES, "w3"))
    lab.commit("six hosts")
    after = lab.unit_starts(NODES)
    assert {key for key in before if before[key] != after.get(key)} == set()
