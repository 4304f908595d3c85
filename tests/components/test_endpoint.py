"""What stands in front of the API servers: haproxy on hosts of a role, keepalived beside it."""

from __future__ import annotations

import pytest

from generator.components import endpoint_balancer, endpoint_vip, kube_apiserver, kube_controller_manager
from generator.components.items import HostFile, SecretTemplate
from generator.pki.certificates import api_server_sans
from tests.components.balancing import MODES, cluster_of, ipv6_cluster
from tests.components.clusters import all_of, text
from tests.components.sample import flags_of, text_of

BALANCER, VIP = endpoint_balancer.COMPONENT, endpoint_vip.COMPONENT


@pytest.mark.parametrize("mode", MODES)
def test_where_each_runs(mode: str) -> None:
    made = cluster_of(mode)
    front = {name for name, pool in made.pools.items() if BALANCER.runs_on(made, pool)}
    carriers = {name for name, pool in made.pools.items() if VIP.runs_on(made, pool)}
    expected = {"hosts-in-front": {"lb"}, "vip-on-load-balancers": {"lb"}}
    assert front == expected.get(mode, {"control"} if mode.startswith("vip") else set())
    assert carriers == (front if mode.startswith("vip") else set())


def test_a_virtual_address_comes_and_goes_without_a_change_of_the_balancer() -> None:
    without, beside = cluster_of("hosts-in-front"), cluster_of("vip-on-load-balancers")
    assert all_of(BALANCER, without, "lb1") == all_of(BALANCER, beside, "lb1")
    assert without.node_api_url == beside.node_api_url == "https://127.0.0.1:8443"
    assert beside.external_api_url == "https://10.0.3.100:6443"


def test_a_host_that_is_no_node_ends_a_nodes_balancer_first() -> None:
    front = all_of(BALANCER, cluster_of("hosts-in-front"), "lb1")
    assert "Conflicts=apiserver-balancer-6443.service" in text(front, endpoint_balancer.ALONE)
    beside = all_of(BALANCER, cluster_of("vip-on-control-plane"), "cp1")
    assert "Conflicts=apiserver-balancer-9443.service" in text(beside, endpoint_balancer.ALONE)
    # One that binds the virtual address alone leaves the port on loopback to whom it belongs.
    assert endpoint_balancer.ALONE not in all_of(BALANCER, cluster_of("vip-on-the-api-port"), "cp1")


def test_an_api_server_that_takes_every_address_ends_a_balancer_at_its_port_and_no_other() -> None:
    path = "/etc/systemd/system/kube-apiserver.service"
    unit = text(all_of(kube_apiserver.COMPONENT, cluster_of("nginx"), "cp1"), path)
    assert "Conflicts=apiserver-balancer-6443.service" in unit
    after = next(line for line in unit.splitlines() if line.startswith("After="))
    assert "apiserver-balancer-6443.service" in after.split()
    beside = text(all_of(kube_apiserver.COMPONENT, cluster_of("nginx-on-the-api-port"), "cp1"), path)
    assert "apiserver-balancer" not in beside


def test_it_listens_everywhere_or_on_the_virtual_address_beside_an_api_server() -> None:
    def binds(mode: str, host: str) -> str:
        config = text(all_of(BALANCER, cluster_of(mode), host), endpoint_balancer.CONFIG)
        return next(line.strip() for line in config.splitlines() if line.strip().startswith("bind ")).strip()

    assert binds("hosts-in-front", "lb1") == binds("vip-on-load-balancers", "lb1") == "bind *:6443"
    assert binds("vip-on-control-plane", "cp1") == "bind *:9443"
    assert binds("vip-on-the-api-port", "cp1") == "bind 10.0.0.100:6443 transparent"
    config = text(all_of(BALANCER, ipv6_cluster(), "cp1"), endpoint_balancer.CONFIG)
    assert "bind [fd00::100]:6443 transparent" in config


@pytest.mark.parametrize("mode", ["nginx-on-the-api-port", "haproxy-on-the-api-port", "vip-on-the-api-port"])
def test_beside_a_balancer_at_its_port_an_api_server_has_its_hosts_address_alone(mode: str) -> None:
    made = cluster_of(mode)
    unit = text(all_of(kube_apiserver.COMPONENT, made, "cp2"), "/etc/systemd/system/kube-apiserver.service")
    assert flags_of(unit)["bind-address"] == "${SLIPWAY_NODE_IP}"
    manager = all_of(kube_controller_manager.COMPONENT, made, "cp2")
    assert "server: https://10.0.0.2:6443" in text(manager, "/etc/kubernetes/controller-manager.kubeconfig")
    apart = text(
        all_of(kube_apiserver.COMPONENT, cluster_of("nginx"), "cp2"), "/etc/systemd/system/kube-apiserver.service"
    )
    assert flags_of(apart)["bind-address"] == "0.0.0.0"


def test_keepalived_knows_its_priority_its_peers_and_a_sealed_password() -> None:
    item = all_of(VIP, cluster_of("vip-on-control-plane"), "cp2")[endpoint_vip.CONFIG]
    assert isinstance(item, HostFile) and isinstance(item.content, SecretTemplate)
    lines = [line.strip() for line in text_of(item).splitlines()]
    assert {"priority 8", "virtual_router_id 7", "version 2", "unicast_src_ip 10.0.0.2"} <= set(lines)
    assert lines[lines.index("unicast_peer {") + 1 :][:3] == ["10.0.0.1", "10.0.0.3", "}"]
    assert "10.0.0.100/32" in lines and "auth_pass {{secret:vrrp/password}}" in lines
    assert (item.mode, item.owner, item.phase) == (0o400, "root", "control-plane")


def test_ipv6_goes_by_version_3_which_has_no_password() -> None:
    item = all_of(VIP, ipv6_cluster(), "cp2")[endpoint_vip.CONFIG]
    assert isinstance(item, HostFile) and isinstance(item.content, str)
    assert "version 3" in item.content and "authentication" not in item.content
    assert "unicast_src_ip fd00::2" in item.content and "fd00::100/128" in item.content
    assert text(all_of(VIP, ipv6_cluster(), "cp2"), "/etc/slipway/endpoint-vip.env") == "SLIPWAY_NODE_IP=fd00::2\n"


def test_the_interface_is_found_at_the_start_unless_the_spec_names_it() -> None:
    found, named = (all_of(VIP, cluster_of(mode), "cp1") for mode in ("vip-on-control-plane", "vip-by-interface"))
    assert "interface $ENDPOINT_INTERFACE" in text_of(found[endpoint_vip.CONFIG])
    assert endpoint_vip.INTERFACE in found and endpoint_vip.INTERFACE not in named
    assert "interface eth1" in text_of(named[endpoint_vip.CONFIG])
    unit = text(named, f"/etc/systemd/system/{endpoint_vip.UNIT}")
    assert "ExecStartPre" not in unit and "EnvironmentFile" not in unit


def test_api_servers_answer_to_the_virtual_address_and_to_the_endpoints_name() -> None:
    made = cluster_of("vip-on-load-balancers")
    assert "10.0.3.100" in api_server_sans(made, made.control_plane[0])
    named = cluster_of("hosts-in-front")
    assert "api.example.net" in api_server_sans(named, named.control_plane[0])
