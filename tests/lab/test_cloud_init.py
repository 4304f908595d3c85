"""Hosts that boot with nothing but their user-data are as it promises, join by apply, or join by themselves."""

from __future__ import annotations

import json

import pytest

from fleet.items import Item
from fleet.tree import load
from tests.lab.cluster_under_test import until
from tests.lab.made_hosts import MadeHosts

pytestmark = pytest.mark.lab

PLAIN, JOINING = "c2", "c3"
BOOTSTRAP = "/run/slipway/bootstrap-kubelet.kubeconfig"


def wrong(cloud: MadeHosts, host: str, item: Item) -> str:
    """Say in which way an item is not on a host as reviewed, "" where it is."""
    at = item.path
    match item.kind:
        case "file":
            script = f"stat -c '%a %U %G' {at} && sha256sum <{at}"
            wanted = f"{item.mode:o} {item.owner} {item.group}\n{item.content_id}  -\n"
        case "directory":
            script, wanted = f"stat -c '%a %U %G' {at}", f"{item.mode:o} {item.owner} {item.group}\n"
        case "link":
            script, wanted = f"readlink {at}", f"{item.target}\n"
        case "binary":
            script, wanted = f"stat -c '%a %U %G' {at}", "755 root root\n"
        case "user":
            script, wanted = f"id -un {item.name}", f"{item.name}\n"
        case "package":
            script, wanted = f"dpkg-query -W -f='${{db:Status-Status}}' {item.name}", "installed"
        case _:
            return ""
    found = cloud.cluster.try_sh(host, script).stdout
    return "" if found == wanted else f"{item.key}: {found!r}, not {wanted!r}"


def units(cloud: MadeHosts, host: str, *names: str) -> dict[str, str]:
    """Whether units are enabled and active, as two words each."""
    script = "; ".join(f"echo {name} $(systemctl is-enabled {name}) $(systemctl is-active {name})" for name in names)
    rows = [line.partition(" ") for line in cloud.cluster.sh(host, script).splitlines()]
    return {name: words for name, _, words in rows}


def kubelet_answers(cloud: MadeHosts, node: str) -> bool:
    """Whether the API server can ask a kubelet, which needs its serving certificate."""
    try:
        return cloud.cluster.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/healthz") == "ok"
    except AssertionError:
        return False


def test_a_host_with_nothing_but_its_user_data_is_as_reviewed_and_waits(cloud: MadeHosts) -> None:
    cloud.boot(PLAIN)
    host = load(cloud.cluster.rendered).hosts[PLAIN]
    assert [found for item in host.items if (found := wrong(cloud, PLAIN, item))] == []
    assert cloud.cluster.sh(PLAIN, "hostname").strip() == PLAIN
    assert cloud.cluster.sh(PLAIN, "sysctl -n net.ipv4.ip_forward").strip() == "1"
    assert units(cloud, PLAIN, "containerd", "apiserver-balancer", "bridge-routes", "kube-proxy.path", "kubelet") == {
        "containerd": "enabled active",
        "apiserver-balancer": "enabled active",
        "bridge-routes": "enabled active",
        "kube-proxy.path": "enabled inactive",
        "kubelet": "disabled inactive",
    }


def test_it_comes_back_from_a_reboot_without_a_unit_that_flaps(cloud: MadeHosts) -> None:
    cloud.hosts.restart(PLAIN)
    assert cloud.cluster.sh(PLAIN, "systemctl list-units --state=failed,auto-restart --no-legend").strip() == ""
    counts = cloud.cluster.sh(PLAIN, "systemctl show -P NRestarts containerd kubelet kube-proxy apiserver-balancer")
    assert set(counts.split()) == {"0"}


def test_an_apply_then_makes_it_a_node(cloud: MadeHosts) -> None:
    done = cloud.cluster.invoke("apply", "--yes", "--limit", f"{cloud.cluster.control[0]},{PLAIN}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert cloud.cluster.all_ready([*cloud.cluster.control, PLAIN])


def test_with_a_token_inside_a_worker_joins_by_itself(cloud: MadeHosts) -> None:
    cloud.boot(JOINING, "--join-token")
    until(lambda: cloud.cluster.all_ready([*cloud.cluster.control, PLAIN, JOINING]), 240)
    until(lambda: cloud.cluster.try_sh(JOINING, f"test ! -e {BOOTSTRAP}").returncode == 0, 60)
    assert cloud.cluster.sh(JOINING, "ls /run/systemd/system | grep slipway-join || true") == ""
    # Its serving certificate was approved without anybody's help: the API server can ask the kubelet.
    until(lambda: kubelet_answers(cloud, JOINING), 120)


def test_the_next_apply_finds_little_to_do_there_and_restarts_nothing(cloud: MadeHosts) -> None:
    before = cloud.cluster.unit_starts([JOINING])
    planned = cloud.cluster.invoke("plan", "--json", "--limit", JOINING)
    changes = [
        change["key"]
        for work in json.loads(planned.stdout)["hosts"][JOINING]["phases"].values()
        for change in work["changes"]
        if not change["key"].startswith("/opt/")
    ]
    assert changes == []
    done = cloud.cluster.invoke("apply", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert cloud.cluster.unit_starts([JOINING]) == before
    assert cloud.cluster.invoke("plan").returncode == 0
