"""overrides.yaml: what is in force, with its layer; what a later layer replaces everywhere is not there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from generator.render.overrides_page import overrides_text
from generator.spec.model import Cluster, ExtraFile, Override, Source
from tests.components.sample import sample_cluster


def shown(cluster: Cluster) -> list[dict[str, Any]]:
    everywhere = {name: ["kubelet", "kube-apiserver"] for name in cluster.pools}
    text = overrides_text(cluster, everywhere)
    found: list[dict[str, Any]] = yaml.safe_load(text)["overrides"]
    return found


def over(**more: Any) -> dict[str, Override]:
    return {"kubelet": Override(**more)}


@pytest.fixture
def bare() -> Cluster:
    """The sample cluster without overrides."""
    cluster = sample_cluster("1.30")
    pools = {name: replace(pool, components={}, files=()) for name, pool in cluster.pools.items()}
    hosts = tuple(replace(host, pool=pools[host.pool.name], components={}, files=()) for host in cluster.hosts)
    return replace(cluster, components={}, files=(), pools=pools, hosts=hosts)


def with_pool(cluster: Cluster, name: str, **more: Any) -> Cluster:
    pools = {**cluster.pools, name: replace(cluster.pools[name], **more)}
    return replace(
        cluster, pools=pools, hosts=tuple(replace(host, pool=pools[host.pool.name]) for host in cluster.hosts)
    )


def with_hosts(cluster: Cluster, names: set[str], **more: Any) -> Cluster:
    hosts = tuple(replace(host, **more) if host.name in names else host for host in cluster.hosts)
    return replace(cluster, hosts=hosts)


def test_each_layer_and_kind_is_a_line(bare: Cluster) -> None:
    assert shown(bare) == []
    pool, host = bare.hosts[-1].pool.name, bare.hosts[-1].name
    extra = ExtraFile("/etc/a.conf", "", 0o644, "root", "root", (), (), Source("cluster.yaml", 3))
    made = replace(bare, components=over(flags={"v": 2}, config={"a": {"b": None, "c": {}}}), files=(extra,))
    made = with_pool(made, pool, components=over(unit={"Service": {"Nice": -5}}))
    made = with_hosts(made, {host}, components=over(config={"maxPods": 9}))
    assert shown(made) == [
        {"layer": "cluster", "path": "components.kubelet.config.a.b", "value": None},
        {"layer": "cluster", "path": "components.kubelet.config.a.c", "value": {}},
        {"layer": "cluster", "path": "components.kubelet.flags.v", "value": 2},
        {"layer": "cluster", "path": "files./etc/a.conf", "value": "mode 0644"},
        {"layer": f"pool {pool}", "path": "components.kubelet.unit.Service.Nice", "value": -5},
        {"layer": "hosts", "hosts": [host], "path": "components.kubelet.config.maxPods", "value": 9},
    ]


def test_what_a_later_layer_replaces_everywhere_is_not_in_force(bare: Cluster) -> None:
    made = replace(bare, components=over(flags={"v": 2}, config={"a": 1}))
    for name in bare.pools:
        made = with_pool(made, name, components=over(unsafe_flags={"v": 4}, config={"a": {"b": 1}}))
    assert {entry["layer"] for entry in shown(made)} == {f"pool {host.pool.name}" for host in bare.hosts}
    made = with_pool(made, bare.hosts[0].pool.name, components={})
    assert [entry["path"] for entry in shown(made) if entry["layer"] == "cluster"] == [
        "components.kubelet.config.a",
        "components.kubelet.flags.v",
    ], "in one pool it holds"


def test_lists_that_add_up_are_never_replaced(bare: Cluster) -> None:
    made = replace(bare, components=over(flags={"feature-gates": "A=true"}))
    for name in bare.pools:
        made = with_pool(made, name, components=over(flags={"feature-gates": "B=true"}))
    assert "cluster" in {entry["layer"] for entry in shown(made)}


def test_what_runs_nowhere_is_not_in_force(bare: Cluster) -> None:
    assert shown(replace(bare, components={"haproxy": Override(config={"maxconn": 1})})) == []


def test_hosts_with_the_same_override_share_a_line(bare: Cluster) -> None:
    names = {host.name for host in bare.hosts}
    (found,) = shown(with_hosts(bare, names, components=over(flags={"v": 4})))
    assert set(found["hosts"]) == names and found["layer"] == "hosts"
