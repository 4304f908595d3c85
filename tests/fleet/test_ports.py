"""The port table as fleet reads it: what render wrote, per host."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fleet.ports import table_of
from fleet.status.listening import missing
from fleet.tree import load
from generator.errors import StaleTreeError
from generator.render.ports_page import own_ports, ports_text
from tests.fleet.small_tree import write_tree
from tests.spec.samples import loaded


def test_each_host_has_the_ports_of_its_pool_and_its_own_way_in(tmp_path: Path) -> None:
    open_to_all = {"kube-proxy": {"config": {"metricsBindAddress": "0.0.0.0:10249"}}}
    cluster = loaded(
        pools={"workers": {"roles": ["etcd", "control-plane", "worker"]}},
        hosts={
            "n1": {"pool": "workers", "address": "10.0.0.1"},
            "n2": {"pool": "workers", "address": "10.0.0.2", "components": open_to_all},
            "n3": {"pool": "workers", "address": "10.0.0.3"},
        },
    )
    names = {"pool": "workers"}
    write_tree(
        tmp_path,
        hosts={"n1": {**names, "address": "10.0.0.1"}, "n2": {**names, "address": "10.0.0.2", "ssh": {"port": 2222}}},
    )
    rendered = tmp_path / "rendered" / "demo"
    (rendered / "ports.yaml").write_text(ports_text(cluster, cluster.pools))
    own = dict(own_ports(cluster))
    assert list(own) == ["hosts/n2/ports.yaml"]
    (rendered / "hosts/n2").mkdir(parents=True)
    (rendered / "hosts/n2/ports.yaml").write_bytes(own["hosts/n2/ports.yaml"])
    table = load(rendered).ports
    first = {port.first: port for port in table["n1"]}
    second = {port.first: port for port in table["n2"]}
    assert first[22].component == second[2222].component == "sshd" and 22 not in second
    assert first[10249].scopes == {"loopback"} and second[10249].scopes == {"any"}
    assert first[2379].scopes == {"loopback", "address"} and first[2379].callers == {"control-plane", "etcd"}
    assert first[30000].holds(32767) and not first[30000].holds(32768) and first[30000].may_be_shut
    assert not first[2379].may_be_shut


def test_a_host_that_serves_time_has_a_table_of_its_own() -> None:
    time = {"mode": "own", "servers": ["ntp.example.net"], "own": ["n1"], "allow": ["10.0.0.0/24"]}
    cluster = loaded(
        pools={"all": {"roles": ["etcd", "control-plane", "worker"]}, "more": {"roles": ["worker"]}},
        hosts={"n1": {"pool": "all", "address": "10.0.0.1"}, "n2": {"pool": "more", "address": "10.0.0.2"}},
        system={"time": time},
    )
    ((path, content),) = own_ports(cluster)
    (found,) = (one for one in table_of(yaml.safe_load(content)["ports"], 22) if one.first == 123)
    assert path == "hosts/n1/ports.yaml" and found.callers == {"10.0.0.0/24"}
    # It is a line of UDP, so TCP on that port is a stranger's, and a shut one is not missed.
    assert not found.is_tcp and missing((found,), [], "10.0.0.1") == ()


def test_vrrp_is_no_port_that_must_be_open(tmp_path: Path) -> None:
    entry = {"port": 0, "protocol": "vrrp", "listens": ["address"], "from": ["control-plane"]}
    (found,) = table_of([{**entry, "component": "endpoint-vip", "purpose": "VRRP"}], 22)
    assert found.may_be_shut and not found.holds(112)


def test_a_table_that_render_did_not_write_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path, hosts={"n1": {"pool": "workers", "address": "10.0.0.1"}})
    path = tmp_path / "rendered" / "demo" / "ports.yaml"
    for text in ("pools: {}\n", "everyHost: []\npools: {}\n", "everyHost: []\npools: {workers: [{port: a}]}\n"):
        path.write_text(text)
        with pytest.raises(StaleTreeError, match=r"ports\.yaml is not as render writes it"):
            load(path.parent)


def test_a_dual_stack_host_has_two_addresses(tmp_path: Path) -> None:
    both = {"pool": "workers", "address": "10.0.0.1", "secondaryAddress": "fd00::1"}
    hosts = write_tree(tmp_path, hosts={"n1": both, "n2": {"pool": "workers", "address": "10.0.0.2"}}).hosts
    assert hosts["n1"].addresses == ("10.0.0.1", "fd00::1")
    assert hosts["n2"].addresses == ("10.0.0.2",)
