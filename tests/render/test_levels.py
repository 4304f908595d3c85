"""Which folder an item ends in: as wide as its facts reach and no wider."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from generator.artifacts_lock import ArtifactLock
from generator.components.items import HostFile, item_key
from generator.errors import RenderError
from generator.pki.request_material import RequestMaterial
from generator.render.assembly import render
from generator.render.levels import Levels, levels
from generator.spec import load_text
from generator.spec.model import Cluster
from tests.render.small import BASE, NETWORK, Small, small_cluster

UNIT = "/etc/systemd/system/kubelet.service"
VERBOSITY = "/etc/kubelet/verbosity"


def _levels(cluster: Cluster, *components: Small) -> Levels:
    return levels(cluster, RequestMaterial(cluster), components or (Small(),))


def test_without_overrides_pools_and_hosts_hold_only_what_depends_on_them() -> None:
    found = _levels(small_cluster())
    assert set(found.shared["kubelet"].items) == {UNIT, VERBOSITY, "unit:kubelet.service"}
    assert set(found.pools) == {("kubelet", "control"), ("kubelet", "workers")}
    assert set(found.pools["kubelet", "workers"].items) == {"/opt/kubelet/1.36.1/kubelet", "package:kubelet-debian"}
    assert set(found.hosts["worker-01"].items) == {"/etc/slipway/kubelet.env"}
    assert found.components == {"control": ("kubelet",), "workers": ("kubelet",)}


def test_a_cluster_override_changes_the_shared_folder_only() -> None:
    before = _levels(small_cluster())
    after = _levels(small_cluster(rest="components: {kubelet: {flags: {v: 4}}}"))
    assert before.shared != after.shared
    assert (before.pools, before.hosts) == (after.pools, after.hosts)


def test_a_pool_override_adds_to_that_pools_folder_only_what_differs() -> None:
    before = _levels(small_cluster())
    after = _levels(small_cluster(pool=", components: {kubelet: {flags: {v: 4}}}"))
    assert (before.shared, before.hosts) == (after.shared, after.hosts)
    assert before.pools["kubelet", "control"] == after.pools["kubelet", "control"]
    added = set(after.pools["kubelet", "workers"].items) - set(before.pools["kubelet", "workers"].items)
    assert added == {UNIT, VERBOSITY}


def test_a_host_override_touches_that_hosts_folder_only() -> None:
    host = "  special: {pool: workers, address: 10.0.9.9%s}"
    before = _levels(small_cluster(host=host % ""))
    after = _levels(small_cluster(host=host % ", components: {kubelet: {flags: {v: 4}}}"))
    assert (before.shared, before.pools) == (after.shared, after.pools)
    different = {name for name in after.hosts if after.hosts[name] != before.hosts[name]}
    assert different == {"special"}
    assert set(after.hosts["special"].items) == {UNIT, VERBOSITY, "/etc/slipway/kubelet.env"}


@pytest.mark.parametrize("level", ["pool", "host"])
def test_what_a_stronger_level_lacks_is_listed_as_absent(level: str) -> None:
    override = ", components: {kubelet: {flags: {v: null}}}"
    if level == "pool":
        cluster = small_cluster(pool=override)
        found = _levels(cluster)
        assert found.pools["kubelet", "workers"].absent == (VERBOSITY,)
    else:
        cluster = small_cluster(host=f"  special: {{pool: workers, address: 10.0.9.9{override}}}")
        found = _levels(cluster)
        assert found.hosts["special"].absent == (VERBOSITY,)
    by_name = {host.name: host for host in cluster.hosts}
    assert VERBOSITY not in found.items_of(by_name["worker-01" if level == "pool" else "special"])
    assert VERBOSITY in found.items_of(by_name["cp1"])


def test_a_host_override_that_undoes_its_pools_brings_the_file_back() -> None:
    host = "  special: {pool: workers, address: 10.0.9.9, components: {kubelet: {flags: {v: 2}}}}"
    cluster = small_cluster(pool=", components: {kubelet: {flags: {v: null}}}", host=host)
    found = _levels(cluster)
    special = next(one for one in cluster.hosts if one.name == "special")
    plain = next(one for one in cluster.hosts if one.name == "worker-01")
    assert VERBOSITY in found.items_of(special)
    assert VERBOSITY not in found.items_of(plain)


def test_the_shared_folder_does_not_depend_on_which_other_pools_exist() -> None:
    one = _levels(small_cluster())
    two = _levels(small_cluster(pool=", components: {kubelet: {flags: {v: 9}}}", workers=7))
    assert one.shared == two.shared


def test_resolved_items_are_what_the_component_says_for_that_host() -> None:
    cluster = small_cluster(
        pool=", components: {kubelet: {flags: {v: 4}}}",
        host="  special: {pool: workers, address: 10.0.9.9, components: {kubelet: {flags: {runonce: true}}}}",
    )
    found = _levels(cluster)
    texts = {host.name: found.items_of(host)[UNIT].content for host in cluster.hosts}  # type: ignore[union-attr]
    assert texts["cp1"] == "[Service]\n--v=2\n"
    assert texts["worker-01"] == "[Service]\n--v=4\n"
    assert texts["special"] == "[Service]\n--runonce=true\n--v=4\n"


@pytest.mark.parametrize("at_host", [False, True])
def test_two_components_with_one_path_are_an_error_that_names_host_path_and_both(at_host: bool) -> None:
    item = HostFile("/etc/slipway/kubelet.env" if at_host else UNIT, "x", "other", "nodes")
    rival = Small("other", host_extra=(item,)) if at_host else Small("other", extra=(item,))
    with pytest.raises(RenderError, match=rf"^small/cp1: kubelet: {item_key(item)} is also put there by other; "):
        _levels(small_cluster(), Small(), rival)


def test_two_components_on_different_hosts_may_have_one_path() -> None:
    item = HostFile("/etc/motd", "x", "other", "nodes")
    one = Small("one", roles=frozenset({"etcd"}), extra=(item,))
    two = Small("two", roles=frozenset({"worker"}), extra=(item,))
    found = _levels(small_cluster(), one, two)
    assert found.components == {"control": ("one",), "workers": ("two",)}


def test_a_host_item_may_not_shadow_the_shared_one_of_its_own_component() -> None:
    item = HostFile(UNIT, "mine", "kubelet", "nodes")
    with pytest.raises(RenderError, match="comes out at two levels"):
        _levels(small_cluster(), Small(host_extra=(item,)))


def test_a_component_that_no_host_runs_leaves_no_trace() -> None:
    found = _levels(small_cluster(), Small("ghost", roles=frozenset({"load-balancer"})))
    assert not found.shared and not found.pools and not found.hosts


def test_a_thousand_hosts_take_seconds() -> None:
    ranges = "\n".join(f'  w{n}-[001:250]: {{pool: workers, address: "10.0.{n}.[1:250]"}}' for n in range(2, 6))
    network = "network: {podCIDR: 10.128.0.0/12, serviceCIDR: 10.96.0.0/16}"
    text = (BASE % {"workers": 1, "pool": "", "host": ranges, "rest": ""}).replace(NETWORK, network)
    cluster = load_text(text, name="small")
    assert len(cluster.hosts) == 1002
    started = time.process_time()
    tree = render(cluster, RequestMaterial(cluster), ArtifactLock(), Path("nowhere"))
    assert time.process_time() - started < 5
    assert sum(path.endswith("/manifest.yaml") and path.startswith("hosts/") for path in tree) == 1002
