"""The port table follows the spec: what an override moves, opens or shuts stands in it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from generator.render.ports_page import ports_text
from generator.spec import ports
from generator.spec.listener import Listener, Scope
from tests.spec.samples import loaded

POOL = {"all": {"roles": ["etcd", "control-plane"]}}
HOST = {"h": {"pool": "all", "address": "10.0.0.1"}}


def table(minor: str = "1.36", **components: Any) -> dict[int, Listener]:
    cluster = loaded(pools=POOL, hosts=HOST, components=components, versions={"kubernetes": f"{minor}.0"})
    found = ports.listeners(cluster, cluster.pools["all"])
    assert len({one.port for one in found}) == len(found)
    return {one.port: one for one in found}


def test_what_is_bound_to_what_by_default() -> None:
    found = table()
    on = {scope: sorted(port for port, one in found.items() if one.scopes == scope) for scope in {
        one.scopes for one in found.values()
    }}  # fmt: skip
    assert on == {
        ("loopback",): [2381, 8443, 10010, 10248, 10249, 10256, 10257, 10259],
        ("address",): [2380],
        ("loopback", "address"): [2379],
        ("any",): [6443, 10250],
    }
    assert all(one.callers == ("host",) for one in found.values() if one.scopes == ("loopback",))
    assert found[2380].callers == ("etcd",) and found[10250].callers == ("control-plane", "nodes", "pods")


def test_kubelets_are_for_the_control_plane_alone_where_no_metrics_server_asks_them() -> None:
    cluster = loaded(pools=POOL, hosts=HOST, addons={"metricsServer": {"enabled": False}})
    found = {one.port: one for one in ports.listeners(cluster, cluster.pools["all"])}
    assert found[10250].callers == ("control-plane",)


@pytest.mark.parametrize("port", [8080, 10251, 10252, 10255])
def test_ports_of_an_older_day_are_not_in_it(port: int) -> None:
    assert port not in table("1.20") and port not in table()


def test_a_configured_scheduler_of_1_20_has_one_more() -> None:
    found = table("1.20", **{"kube-scheduler": {"config": {"podInitialBackoffSeconds": 2}}})
    assert found[10251].component == "kube-scheduler" and found[10251].scopes == ("loopback",)


def test_an_address_that_the_spec_opens_is_open_in_it() -> None:
    found = table(
        **{
            "kube-controller-manager": {"flags": {"bind-address": "0.0.0.0"}},
            "kube-proxy": {"config": {"metricsBindAddress": "[::]:9249", "healthzBindAddress": "0.0.0.0:10256"}},
            "kubelet": {"config": {"readOnlyPort": 10255, "healthzPort": 0}},
        }
    )
    assert found[10257].scopes == ("any",) and found[10257].callers == ("anyone",)
    assert found[9249].scopes == found[10256].scopes == ("any",) and 10249 not in found
    assert found[10255].callers == ("anyone",) and 10248 not in found
    assert found[10259].scopes == ("loopback",)


def test_a_kubelets_flag_wins_over_its_configuration() -> None:
    found = table("1.20", kubelet={"config": {"healthzPort": 10300}, "flags": {"healthz-port": 10301}})
    assert 10301 in found and 10300 not in found and 10248 not in found


def test_a_host_of_its_own_ways_differs_from_its_pool() -> None:
    own = {"kube-proxy": {"config": {"metricsBindAddress": "0.0.0.0:10249"}}}
    cluster = loaded(pools=POOL, hosts={"h": {**HOST["h"], "components": own}})
    pool = cluster.pools["all"]
    by_pool = {one.port: one.scopes for one in ports.listeners(cluster, pool)}
    by_host = {one.port: one.scopes for one in ports.listeners(cluster, pool, cluster.hosts[0])}
    assert by_pool[10249] == ("loopback",) and by_host == {**by_pool, 10249: ("any",)}


def test_node_ports_are_a_range() -> None:
    cluster = loaded(pools=POOL, hosts=HOST)
    found = ports.node_ports(cluster)
    assert (found.port, found.last, found.protocol) == (30000, 32767, "any")


def test_listeners_of_the_users_own_are_those_of_the_cluster_and_of_the_pool_which_counts() -> None:
    cluster = loaded(
        pools={
            **POOL,
            "workers": {"roles": ["worker"], "listeners": [{"port": 9100}, {"port": 53, "protocol": "udp"}]},
        },
        hosts={**HOST, "w": {"pool": "workers", "address": "10.0.0.2"}},
        listeners=[{"port": 9100, "from": ["10.2.0.0/16", "nodes"]}],
    )
    found = {name: ports.own_listeners(pool) for name, pool in cluster.pools.items()}
    (shared,) = found["all"]
    assert (shared.port, shared.component, shared.callers, shared.sources) == (
        9100, "yours", ("nodes",), ("10.2.0.0/16",),
    )  # fmt: skip
    assert [(one.port, one.protocol, one.callers) for one in found["workers"]] == [
        (53, "udp", ("anyone",)),
        (9100, "tcp", ("anyone",)),
    ]


def test_a_host_that_serves_time_has_its_port_in_the_table_and_no_other_host_has() -> None:
    time = {"mode": "own", "servers": ["ntp.example.net"], "own": ["h"], "allow": ["10.0.0.0/24", "10.2.0.0/16"]}
    hosts = {**HOST, "i": {"pool": "workers", "address": "10.0.0.2"}}
    cluster = loaded(pools={**POOL, "workers": {"roles": ["worker"]}}, hosts=hosts, system={"time": time})
    found = {host.name: ports.listeners(cluster, host.pool, host) for host in cluster.hosts}
    (one,) = (one for one in found["h"] if one.port == ports.TIME)
    assert (one.protocol, one.scopes, one.callers) == ("udp", ("any",), ())
    assert one.sources == ("10.0.0.0/24", "10.2.0.0/16")
    assert all(one.port != ports.TIME for one in (*found["i"], *ports.listeners(cluster, cluster.pools["all"])))
    assert [ports.listens_otherwise(host) for host in cluster.hosts] == [True, False]


@pytest.mark.parametrize("other", [("any",), ("address",), ("loopback",), ("virtual",), ("turned",)])
def test_a_port_that_is_turned_meets_every_other(other: tuple[Scope, ...]) -> None:
    turned = Listener(80, "traefik", "HTTP of Ingresses", scopes=("turned",))
    assert ports.meet(turned, Listener(80, "x", "y", scopes=other))
    assert ports.meet(Listener(80, "x", "y", scopes=other), turned)


def test_the_page_of_ports_says_what_turned_means_where_a_port_is() -> None:
    usual, turned = (loaded(addons={"traefik": {"enabled": enabled}}) for enabled in (False, True))
    pools = ("control", "workers")
    assert "turned" not in ports_text(usual, pools)
    page = ports_text(turned, pools)
    assert "# A port that is turned has no listener" in page
    assert {
        (entry["port"], entry["component"])
        for entry in yaml.safe_load(page)["pools"]["workers"]
        if entry["listens"] == ["turned"] and entry["from"] == ["anyone"]
    } == {(80, "traefik"), (443, "traefik")}


def test_the_cache_of_names_listens_at_an_address_of_its_own() -> None:
    on = {"nodeLocalDNS": {"enabled": True}}
    cluster = loaded(pools=POOL, hosts=HOST, addons=on)
    found = [one for one in ports.listeners(cluster, cluster.pools["all"]) if one.component == "node-local-dns"]
    assert {(one.port, one.protocol, one.scopes, one.callers) for one in found} == {
        (53, "udp", ("local",), ("pods",)),
        (53, "tcp", ("local",), ("pods",)),
        (8080, "tcp", ("local",), ("host",)),
        (9253, "tcp", ("loopback",), ("host",)),
        (9353, "tcp", ("loopback",), ("host",)),
    }
    # Its port 8080 and one on loopback do not meet.
    loaded(pools=POOL, hosts=HOST, addons=on, api={"balancerPort": 8080})
    cluster = loaded(pools=POOL, hosts=HOST, addons={"nodeLocalDNS": {"enabled": True, "metrics": "cluster"}})
    found = [one for one in ports.listeners(cluster, cluster.pools["all"]) if one.port == 9253]
    assert [(one.scopes, one.callers) for one in found] == [(("any",), ("nodes", "pods"))]
    cluster = loaded(pools={"etcd": {"roles": ["etcd"]}, **POOL}, hosts=HOST, addons=on)
    assert not any(one.component == "node-local-dns" for one in ports.listeners(cluster, cluster.pools["etcd"]))
