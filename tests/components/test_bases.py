from __future__ import annotations

import pytest

from generator.components import host_base, node_base
from generator.components.items import HostDirectory, HostFile, HostPackage
from tests.components.clusters import bridged, cluster, of_pool, shared, text


def settings(written: str) -> dict[str, str]:
    lines = [line for line in written.splitlines() if not line.startswith("#")]
    return dict(line.split(" = ") for line in lines)


def test_what_the_kubelet_demands_is_set() -> None:
    found = settings(text(shared(node_base.COMPONENT, cluster()), node_base.SYSCTL))
    demanded = {
        "vm.overcommit_memory": "1",
        "vm.panic_on_oom": "0",
        "kernel.panic": "10",
        "kernel.panic_on_oops": "1",
        "kernel.keys.root_maxkeys": "1000000",
        "kernel.keys.root_maxbytes": "25000000",
    }
    assert demanded.items() <= found.items()
    assert found["net.ipv4.ip_forward"] == "1"
    assert "net.ipv6.conf.all.forwarding" not in found
    dual_stack = settings(text(shared(node_base.COMPONENT, bridged()), node_base.SYSCTL))
    assert dual_stack["net.ipv6.conf.all.forwarding"] == "1"


def test_every_setting_says_why() -> None:
    lines = text(shared(node_base.COMPONENT, cluster()), node_base.SYSCTL).splitlines()
    assert all(lines[number - 1].startswith("# ") for number, line in enumerate(lines) if "=" in line)


def test_node_ports_are_reserved() -> None:
    made = cluster(network="nodePortRange: 30000-31000")
    found = settings(text(shared(node_base.COMPONENT, made), node_base.SYSCTL))
    assert found["net.ipv4.ip_local_reserved_ports"] == "30000-31000"


def test_the_spec_wins_and_null_leaves_a_setting_alone() -> None:
    spec = "sysctl: {vm.max_map_count: '1000000', net.core.somaxconn: '5', fs.inotify.max_user_watches: null}"
    made = cluster(more=spec)
    later = settings(text(shared(host_base.COMPONENT, made), host_base.SYSCTL))
    assert later == {"vm.max_map_count": "1000000", "net.core.somaxconn": "5"}
    assert node_base.SYSCTL < host_base.SYSCTL  # systemd-sysctl lets the later file win
    assert "fs.inotify.max_user_watches" not in settings(text(shared(node_base.COMPONENT, made), node_base.SYSCTL))


def test_hosts_that_are_no_nodes_forward_nothing() -> None:
    made = cluster(
        pools="store: {roles: [etcd], os: debian-12}\napi: {roles: [control-plane], os: debian-12}",
        hosts="store[1:2]: {pool: store, address: '10.0.4.[1:2]'}",
    )
    assert host_base.COMPONENT.runs_on(made, made.pools["store"])
    assert not node_base.COMPONENT.runs_on(made, made.pools["store"])


def test_modules_restart_their_unit_before_the_settings_that_need_them() -> None:
    items = shared(node_base.COMPONENT, cluster())
    modules = items[node_base.MODULES]
    assert isinstance(modules, HostFile)
    assert modules.content == "br_netfilter\nnf_conntrack\noverlay\n"
    assert modules.restarts == ("systemd-modules-load.service", "systemd-sysctl.service")
    assert "SuccessExitStatus=1" in text(items, "/etc/systemd/system/systemd-modules-load.service.d/slipway.conf")
    ipvs = cluster("1.30.0", network="proxyMode: ipvs")
    assert "ip_vs_rr" in text(shared(node_base.COMPONENT, ipvs), node_base.MODULES)


@pytest.mark.parametrize(
    ("os", "expected"),
    [
        ("ubuntu-24.04", {"conntrack", "iptables", "kmod", "socat"}),
        ("rocky-8", {"conntrack-tools", "iptables", "kmod", "socat"}),
        ("rhel-9", {"conntrack-tools", "iptables-nft", "kmod", "socat"}),
        ("openeuler-24.03", {"conntrack-tools", "iptables", "kmod", "socat"}),
    ],
)
def test_packages_follow_the_os(os: str, expected: set[str]) -> None:
    made = cluster("1.30.0", pools=f"odd: {{roles: [worker], os: {os}}}", hosts="odd1: {pool: odd, address: 10.0.5.1}")
    items = of_pool(node_base.COMPONENT, made, "odd")
    assert {item.name for item in items.values() if isinstance(item, HostPackage)} == expected


def test_slipways_state_is_for_root_alone() -> None:
    folder = shared(host_base.COMPONENT, cluster())["/var/lib/slipway"]
    assert isinstance(folder, HostDirectory)
    assert (folder.mode, folder.owner) == (0o700, "root")
