"""A managed firewall opens what the port table names, to whom it names, and nothing else."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest

from generator.components.firewall import (
    COMPONENT,
    HOLDING_UNIT,
    OFF_UNIT,
    PROVING_SECONDS,
    RESTORE_TIMER,
    SCRIPT,
    UNIT,
)
from generator.components.firewall_rules import ADDRESSES, NODES, OWN, PORTS, RULES
from generator.components.items import HostFile, HostPackage, HostUnit
from generator.spec.listener import Listener
from generator.spec.model import Cluster, Host
from generator.spec.ports import listeners, node_ports, own_listeners
from tests.components.clusters import cluster, of_host, of_pool, shared, text

MANAGED = """
firewall: {mode: managed, operators: [10.1.0.0/24]}
ssh: {jumps: [{address: 10.9.0.1}]}
listeners:
  - {port: 9100, from: [10.2.0.0/16, nodes], purpose: node exporter}
  - {port: 53, protocol: udp, from: [pods]}
"""
STRANGER = "192.0.2.7"


def managed(more: str = "", **sections: str) -> Cluster:
    return cluster(more=MANAGED + more, **sections)


def sets(made: Cluster) -> dict[str, list[str]]:
    items = shared(COMPONENT, made)
    whole = text(items, ADDRESSES) + (text(items, NODES) if NODES in items else "")
    found = re.findall(r"set (\w+) \{.*?elements = \{(.*?)\}", whole, re.DOTALL)
    return {name: [one.strip(" ,") for one in body.split("\n") if one.strip()] for name, body in found}


def rules_of(made: Cluster, host: Host) -> list[str]:
    own = of_host(COMPONENT, made, host.name)
    frame = [line.strip() for line in text(shared(COMPONENT, made), RULES).splitlines()]
    more = text(of_pool(COMPONENT, made, host.pool.name), PORTS) + (text(own, OWN) if OWN in own else "")
    return [line for line in [*frame, *more.splitlines()] if " dport " in line and "DHCP" not in line]


class Rules:
    """The rules of one host, asked as the kernel would be: an interpreter of the few forms that we write."""

    def __init__(self, made: Cluster, host: Host) -> None:
        known = sets(made)
        self.rules: list[tuple[str, int, int, list[IPv4Network | IPv6Network] | None]] = []
        for rule in rules_of(made, host):
            form = r"(tcp|udp|sctp) dport (\d+)(?:-(\d+))?(?: ip6? saddr (@\w+|\{.*?\}))? accept comment \".*\""
            match = re.fullmatch(form, rule)
            assert match, rule
            ranges = None
            if match[4] is not None:
                found = known[match[4][1:]] if match[4].startswith("@") else match[4].strip("{ }").split(", ")
                ranges = [ip_network(one) for one in found]
            self.rules.append((match[1], int(match[2]), int(match[3] or match[2]), ranges))

    def let_in(self, caller: str, protocol: str, port: int) -> bool:
        """Whether a packet of a caller gets in."""
        return any(
            named == protocol
            and first <= port <= last
            and (ranges is None or any(ip_address(caller) in one for one in ranges))
            for named, first, last, ranges in self.rules
        )


def callers(made: Cluster) -> dict[str, str]:
    """An address of everybody whom the port table tells apart."""
    found = {host.name: host.address for host in made.hosts}
    return {
        **found,
        "operator": "10.1.0.9",
        "jump": "10.9.0.1",
        "pod": "10.244.3.3",
        "yours": "10.2.9.9",
        "x": STRANGER,
    }


def may_call(made: Cluster, one: Listener, address: str) -> bool:
    """Whether the port table names a caller, by its words alone."""
    role = {"etcd": made.etcd_hosts, "control-plane": made.control_plane, "nodes": made.hosts}
    if "anyone" in one.callers:
        return True
    if any(address in host.addresses for word, hosts in role.items() if word in one.callers for host in hosts):
        return True
    pods = made.network.pod_cidrs if "pods" in one.callers else ()
    return any(ip_address(address) in ip_network(cidr) for cidr in (*one.sources, *pods))


POOLS = "balancers: {roles: [load-balancer]}\nmembers: {roles: [etcd]}"
HOSTS = "lb1: {pool: balancers, address: 10.0.2.1}\ne[1:2]: {pool: members, address: '10.0.3.[1:2]'}"
ENDPOINT = "\napi: {endpoint: {host: api.example.net, port: 7443}}"
OVERRIDE = "\ncomponents: {kube-proxy: {config: {metricsBindAddress: '0.0.0.0:10249'}}}"


INGRESS = "\naddons: {traefik: {enabled: true, tolerations: [{operator: Exists}]}}"


@pytest.mark.parametrize("more", ["", OVERRIDE, INGRESS])
@pytest.mark.parametrize("minor", ["1.20.2", "1.36.1"])
def test_every_port_of_the_table_is_open_to_its_callers_and_to_nobody_else(minor: str, more: str) -> None:
    made = cluster(minor, MANAGED + ENDPOINT + more, pools=POOLS, hosts=HOSTS)
    for host in made.hosts:
        table = [*listeners(made, host.pool, host), *own_listeners(host.pool)]
        table += [node_ports(made)] if host.pool.is_node else []
        rules = Rules(made, host)
        outside = [one for one in table if one.scopes != ("loopback",)]
        for one in table:
            protocols = ("tcp", "udp") if one.protocol == "any" else (one.protocol,)
            same = [other for other in outside if other.port == one.port and other.protocol == one.protocol]
            for protocol in protocols:
                for name, address in callers(made).items():
                    wanted = any(may_call(made, other, address) for other in same)
                    port = one.last or one.port
                    assert rules.let_in(address, protocol, port) is wanted, (host.name, one, name)


def test_sshd_is_open_to_operators_and_jump_hosts_alone() -> None:
    made = managed(hosts="odd: {pool: workers, address: 10.0.1.9, ssh: {port: 2222}}")
    for host in made.hosts:
        rules = Rules(made, host)
        let_in = {name for name, address in callers(made).items() if rules.let_in(address, "tcp", host.ssh.port)}
        assert let_in == {"operator", "jump"}, host.name


def test_a_foreign_port_is_closed_to_everybody() -> None:
    made = managed()
    for host in made.hosts:
        rules = Rules(made, host)
        for address in callers(made).values():
            for port in (21, 111, 2381, 3306, 8443, 10248, 10255, 10257, 29999, 32768):
                assert not rules.let_in(address, "tcp", port) and not rules.let_in(address, "udp", port)


def test_what_is_not_named_is_dropped_and_what_is_passed_on_is_left_alone() -> None:
    frame = text(shared(COMPONENT, managed()), RULES)
    assert frame.startswith("table inet slipway\ndelete table inet slipway\n\ntable inet slipway {\n")
    assert frame.count("policy drop") == 1 and "forward" not in frame and "flush" not in frame
    assert set(re.findall(r"table \w+ \w+", frame)) == {"table inet slipway"}


def test_a_worker_more_changes_one_line_of_one_shared_set() -> None:
    before, after = managed(), managed(hosts="w9: {pool: workers, address: 10.0.1.9}")
    assert text(shared(COMPONENT, before), ADDRESSES) == text(shared(COMPONENT, after), ADDRESSES)
    old, new = (text(shared(COMPONENT, one), NODES).splitlines() for one in (before, after))
    assert [line for line in new if line not in old] == ["        10.0.1.9,"]
    assert of_pool(COMPONENT, before, "workers") == of_pool(COMPONENT, after, "workers")


def test_without_a_rule_that_needs_it_nobody_lists_all_hosts() -> None:
    # metrics-server asks the kubelet of every node.
    more = "firewall: {mode: managed, operators: [10.1.0.0/24]}\naddons: {metricsServer: {enabled: false}}"
    made = cluster(more=more)
    items = shared(COMPONENT, made)
    assert NODES not in items
    for host in made.hosts:
        if "control-plane" not in host.pool.roles:
            assert all(host.address not in text(items, path) for path in (RULES, ADDRESSES))


def test_a_host_of_its_own_ways_has_a_file_of_its_own() -> None:
    own = "components: {kube-proxy: {config: {metricsBindAddress: '0.0.0.0:10249'}}}"
    made = managed(hosts=f"odd: {{pool: workers, address: 10.0.1.9, ssh: {{port: 2222}}, {own}}}")
    assert text(of_host(COMPONENT, made, "odd"), OWN).splitlines() == [
        'tcp dport 10249 accept comment "kube-proxy: metrics"',
        'tcp dport 2222 ip saddr @operators4 accept comment "sshd: operators and jump hosts"',
    ]
    assert of_host(COMPONENT, made, "worker1") == {}


def test_a_host_that_serves_time_lets_in_whom_it_answers() -> None:
    time = "system: {time: {mode: own, servers: [ntp.example.net], own: [cp1], allow: [10.0.0.0/23]}}\n"
    made = managed(time)
    assert text(of_host(COMPONENT, made, "cp1"), OWN) == (
        'udp dport 123 ip saddr { 10.0.0.0/23 } accept comment "time-sync: time (NTP)"\n'
    )
    for host in made.hosts:
        let_in = {who for who, address in callers(made).items() if Rules(made, host).let_in(address, "udp", 123)}
        asking = {one.name for one in made.hosts} if host.name == "cp1" else set()
        assert let_in == asking, host.name


def test_a_pod_network_that_tunnels_by_protocol_is_let_in_from_nodes() -> None:
    made = cluster(more="firewall: {mode: managed, operators: [10.1.0.0/24], nodeProtocols: [ipip]}")
    rule = 'meta l4proto 4 ip saddr @nodes4 accept comment "ipip between nodes"'
    assert rule in text(of_pool(COMPONENT, made, "workers"), PORTS).splitlines()


def test_services_that_ipvs_turns_behind_the_chain_are_let_in() -> None:
    made = managed(network="proxyMode: ipvs")
    ports = text(of_pool(COMPONENT, made, "workers"), PORTS)
    assert "ip daddr 10.96.0.0/16 accept" in ports
    assert "daddr" not in text(of_pool(COMPONENT, managed(), "workers"), PORTS)


def test_nothing_restarts_and_new_rules_are_loaded_by_a_reload() -> None:
    made = managed()
    for items in (shared(COMPONENT, made), of_pool(COMPONENT, made, "workers")):
        for path, item in items.items():
            if isinstance(item, HostFile):
                assert item.restarts == (), path
                assert not path.endswith(".nft") or (item.reloads, item.mode) == ((UNIT,), 0o600)


def test_ways_into_the_api_are_shut_after_the_last_gate_and_at_no_reload() -> None:
    items = of_pool(COMPONENT, managed(), "control")
    way = items["/etc/slipway/way-in-kube-apiserver-6443.nft"]
    assert isinstance(way, HostFile) and not way.reloads and not way.restarts
    assert isinstance(way.content, str) and way.content in text(items, PORTS)
    # What a rule set is known by as confirmed does not change when the file goes.
    assert "cat /etc/slipway/firewall*.nft" in text(shared(COMPONENT, managed()), SCRIPT)


def test_the_package_of_nft_is_named_once_where_kube_proxy_needs_it_too() -> None:
    made = cluster("1.36.1", MANAGED + ENDPOINT, network="proxyMode: nftables", pools=POOLS, hosts=HOSTS)
    assert "package:nftables" not in of_pool(COMPONENT, made, "workers")
    assert of_pool(COMPONENT, made, "members")["package:nftables"] == HostPackage("nftables", "firewall")


def test_keep_touches_nothing_and_off_brings_no_rules() -> None:
    assert not COMPONENT.runs_on(cluster(), cluster().pools["workers"])
    for written in ('"off"', "off"):
        off = cluster(more=f"firewall: {{mode: {written}}}")
        assert COMPONENT.runs_on(off, off.pools["workers"])
        units = {key for key, item in shared(COMPONENT, off).items() if isinstance(item, HostUnit)}
        assert units == {f"unit:{OFF_UNIT}"} and not of_pool(COMPONENT, off, "workers")


def test_rules_go_by_a_unit_that_is_up_whatever_became_of_them() -> None:
    items = shared(COMPONENT, managed())
    held = items[f"unit:{HOLDING_UNIT}"]
    assert isinstance(held, HostUnit) and held.start
    # After a trial that nobody confirmed the other is down, and the rules before are loaded.
    holding = text(items, f"/etc/systemd/system/{HOLDING_UNIT}")
    assert "firewall remove" in holding and "ExecStop=" in holding and "ExecStart" not in holding
    assert "RemainAfterExit=yes" in holding and "DefaultDependencies=no" in holding


def test_the_time_to_confirm_is_longer_than_the_gate_waits() -> None:
    from fleet import host_gates  # noqa: F401
    from fleet.gates import KINDS

    timer = text(shared(COMPONENT, managed()), f"/etc/systemd/system/{RESTORE_TIMER}")
    assert f"OnActiveSec={PROVING_SECONDS}s" in timer
    assert KINDS["new-connection"].timeout + 15 <= PROVING_SECONDS
