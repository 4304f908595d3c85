"""Calico: what its objects, the port table, certificates and other components must agree on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.object_diff import text_diff
from generator.components.containerd import CNI_PLUGINS
from generator.components.firewall_rules import nodes_text, ports_text, uses_nodes
from generator.errors import RenderError
from generator.pki.certificates import certificates
from generator.pki.request_material import RequestMaterial
from generator.render.objects import objects
from generator.spec import load_text
from generator.spec.addons.calico import TYPHA_ABOVE, typha_wanted
from generator.spec.model import Cluster
from generator.spec.ports import listeners
from tests.addons.cases import members
from tests.golden.addon_cases import ADDON_CASES, FOLDER, AddonCase, case_cluster

CASES = [case for case in ADDON_CASES if case.addon == "calico"]
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
OWN = "crd.projectcalico.org"


def _cluster(calico: Mapping[str, Any], workers: int = 2, **more: Any) -> Cluster:
    spec = yaml.safe_load((FOLDER / "cluster.yaml").read_text())
    spec["network"] = {"plugin": "calico", **more.pop("network", {})}
    spec["addons"] = {"calico": calico}
    spec["hosts"] = {
        "cp-[1:3]": {"pool": "control", "address": "10.0.0.[1:3]"},
        f"w-[1:{workers}]": {"pool": "workers", "address": f"10.0.1.[1:{workers}]"},
    }
    return load_text(yaml.safe_dump({**spec, **more}, sort_keys=False))


def _one(case: AddonCase, kind: str, name: str, minor: str = "") -> Mapping[str, Any] | None:
    found = [one for one in members(case, minor) if one["kind"] == kind and one["metadata"]["name"] == name]
    return found[0] if found else None


def _agent(case: AddonCase, minor: str = "") -> Mapping[str, Any]:
    found = _one(case, "DaemonSet", "calico-node", minor)
    assert found is not None
    container: Mapping[str, Any] = found["spec"]["template"]["spec"]["containers"][0]
    return container


def _installer(minor: str) -> Mapping[str, Any]:
    daemon_set = _one(AddonCase("calico", "default"), "DaemonSet", "calico-node", minor)
    assert daemon_set is not None
    container: Mapping[str, Any] = daemon_set["spec"]["template"]["spec"]["initContainers"][0]
    return container


def _env(container: Mapping[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


@EVERY_CASE
def test_bird_is_asked_for_where_it_runs_and_nowhere_else(case: AddonCase) -> None:
    agent = _agent(case)
    backend = _env(agent)["CALICO_NETWORKING_BACKEND"]
    assert (backend == "bird") == case_cluster(case).addons.calico.runs_bird
    assert backend in {"bird", "vxlan"}
    for probe, word in (("livenessProbe", "live"), ("readinessProbe", "ready")):
        words = agent[probe]["exec"]["command"][1:]
        assert words == [f"-felix-{word}", *([f"-bird-{word}"] if backend == "bird" else [])]
    assert (_one(case, "BGPConfiguration", "default") is not None) == (backend == "bird")


@EVERY_CASE
def test_pools_are_the_pod_ranges_and_the_agent_makes_none(case: AddonCase) -> None:
    cluster = case_cluster(case)
    pools = [one["spec"] for one in members(case) if one["kind"] == "IPPool"]
    assert [pool["cidr"] for pool in pools] == list(cluster.network.pod_cidrs)
    mode = cluster.addons.calico.mode
    word = "CrossSubnet" if mode.endswith("-cross-subnet") else "Always"
    for pool in pools:
        assert pool["vxlanMode"] == (word if mode.startswith("vxlan") else "Never")
        assert pool["ipipMode"] == (word if mode.startswith("ipip") else "Never")
        assert pool["natOutgoing"] == cluster.addons.calico.nat_outgoing
    env = _env(_agent(case))
    assert env["NO_DEFAULT_POOLS"] == "true"
    assert not any(name.startswith(("CALICO_IPV4POOL", "CALICO_IPV6POOL")) for name in env)


@EVERY_CASE
def test_whoever_may_touch_a_kind_finds_its_definition(case: AddonCase) -> None:
    defined = {one["metadata"]["name"] for one in members(case) if one["kind"] == "CustomResourceDefinition"}
    named = {
        f"{resource.partition('/')[0]}.{group}"
        for one in members(case)
        if one["kind"] == "ClusterRole"
        for rule in one["rules"]
        for group in rule["apiGroups"]
        if group in {OWN, "policy.networking.k8s.io"}
        for resource in rule["resources"]
    }
    assert defined == named


@EVERY_CASE
def test_agent_and_typha_expect_each_others_certificates(case: AddonCase) -> None:
    cluster = case_cluster(case)
    typha = _one(case, "Deployment", "calico-typha")
    agent = _env(_agent(case))
    assert (typha is not None) == typha_wanted(cluster)
    if typha is None:
        assert not any("TYPHA" in name for name in agent)
        return
    names = {request.name: dict(request.subject)["CN"] for request in certificates(cluster)}
    env = _env(typha["spec"]["template"]["spec"]["containers"][0])
    assert env["TYPHA_CLIENTCN"] == names["addons/calico-node"]
    assert agent["FELIX_TYPHACN"] == names["addons/typha"]
    service = _one(case, "Service", agent["FELIX_TYPHAK8SSERVICENAME"])
    assert service is not None
    assert service["spec"]["selector"].items() <= typha["spec"]["template"]["metadata"]["labels"].items()


@EVERY_CASE
def test_ports_of_pods_on_the_hosts_network_are_in_the_port_table(case: AddonCase) -> None:
    cluster = case_cluster(case)
    table = {one.port for one in listeners(cluster, cluster.pools["workers"]) if one.component == "calico"}
    for one in members(case):
        if one["kind"] in {"DaemonSet", "Deployment"}:
            spec = one["spec"]["template"]["spec"]
            if spec.get("hostNetwork"):
                ports = {
                    port["containerPort"] for container in spec["containers"] for port in container.get("ports", ())
                }
                assert ports <= table


@pytest.mark.parametrize(
    ("mode", "rules"),
    [
        ("vxlan", ["udp dport 4789"]),
        ("vxlan-cross-subnet", ["udp dport 4789"]),
        ("ipip", ["tcp dport 179", "meta l4proto 4"]),
        ("bgp", ["tcp dport 179"]),
    ],
)
def test_a_managed_firewall_opens_what_a_mode_needs_to_nodes_alone(mode: str, rules: list[str]) -> None:
    cluster = _cluster({"mode": mode}, firewall={"mode": "managed", "operators": ["10.9.0.0/16"]})
    assert uses_nodes(cluster) and "10.0.1.2" in nodes_text(cluster)
    lines = [line for line in ports_text(cluster, cluster.pools["workers"]).splitlines() if '"calico' in line]
    assert {
        match for match in ("udp dport 4789", "tcp dport 179", "meta l4proto 4") if match in "\n".join(lines)
    } == set(rules)
    assert all("@nodes" in line for line in lines)


def test_routers_outside_may_open_bgp_sessions() -> None:
    peers = [{"address": "10.0.0.250", "asNumber": 64601}]
    cluster = _cluster(
        {"mode": "bgp", "bgp": {"peers": peers}}, firewall={"mode": "managed", "operators": ["10.9.0.0/16"]}
    )
    lines = ports_text(cluster, cluster.pools["control"]).splitlines()
    assert any("tcp dport 179" in line and "10.0.0.250" in line for line in lines)


@pytest.mark.parametrize(("workers", "replicas"), [(TYPHA_ABOVE - 3, None), (TYPHA_ABOVE - 2, 3)])
def test_typha_comes_with_the_fifty_first_node(workers: int, replicas: int | None, tmp_path: Path) -> None:
    cluster = _cluster({}, workers)
    found = [
        one["spec"]["replicas"]
        for one in objects(cluster, RequestMaterial(cluster), tmp_path)["10-network"]
        if one["metadata"]["name"] == "calico-typha" and one["kind"] == "Deployment"
    ]
    assert found == ([] if replicas is None else [replicas])
    assert typha_wanted(cluster) == bool(found)


@pytest.mark.parametrize("minor", range(20, 37))
def test_each_minor_has_a_release_and_one_alone(minor: int, tmp_path: Path) -> None:
    case = AddonCase("calico", "default")
    text = f"1.{minor}"
    images = {
        image.rpartition(":")[2]
        for member in members(case, text)
        if member["kind"] in {"DaemonSet", "Deployment"}
        for part in ("initContainers", "containers")
        for image in (one["image"] for one in member["spec"]["template"]["spec"].get(part, ()))
    }
    assert len(images) == 1 and re.fullmatch(r"v3\.[0-9]+\.[0-9]+", next(iter(images)))


@pytest.mark.parametrize("minor", ["1.20", "1.23", "1.24", "1.36"])
def test_the_installer_leaves_itself_and_the_plugins_of_slipway_alone(minor: str) -> None:
    skipped = _env(_installer(minor))["SKIP_CNI_BINARIES"].split(",")
    assert {*CNI_PLUGINS, "install"} <= set(skipped)
    assert not {"calico", "calico-ipam"} & set(skipped)


@pytest.mark.parametrize(
    ("version", "writes"),
    [
        ("v3.21.6", True),
        ("v3.25.2", True),
        ("v3.26.4", True),
        ("v3.26.5", False),
        ("v3.27.2", True),
        ("v3.27.3", False),
        ("v3.28.0-beta1", False),
        ("v3.32.2", False),
    ],
)
def test_only_installers_that_set_bits_in_their_image_may_write_it(version: str, writes: bool, tmp_path: Path) -> None:
    own = tmp_path / "clusters" / "addons" / "addons.jsonnet"
    own.parent.mkdir(parents=True)
    own.write_text(f"{{ values+:: {{ calico+: {{ version: '{version}' }} }} }}")
    cluster = _cluster({})
    network = objects(cluster, RequestMaterial(cluster), tmp_path)["10-network"]
    (agent,) = (one for one in network if one["kind"] == "DaemonSet")
    installer = agent["spec"]["template"]["spec"]["initContainers"][0]
    assert installer["image"].endswith(version)
    assert installer["securityContext"]["readOnlyRootFilesystem"] is not writes
    assert installer["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("minor", range(20, 37))
def test_validate_warns_where_the_release_has_the_installer_that_makes_root(minor: int) -> None:
    cluster = _cluster({}, versions={"kubernetes": f"1.{minor}.0"})
    found = [line for line in cluster.warnings if "CVE-2024-33522" in line]
    writable = not _installer(f"1.{minor}")["securityContext"]["readOnlyRootFilesystem"]
    assert bool(found) == writable
    assert all("network.plugin" in line for line in found)


def test_plan_says_what_a_change_of_mode_interrupts() -> None:
    before, after = (_one(AddonCase("calico", name), "IPPool", "pods-ipv4") for name in ("default", "ipip"))
    assert before is not None and after is not None
    lines = text_diff(before, after)
    assert "+  ipipMode: Always" in lines
    assert lines[-1].startswith("! a change of mode interrupts pods")


@pytest.mark.parametrize(
    ("spec", "warning"),
    [
        ({"network": {"plugin": "none"}}, "addons.calico: is not used: network.plugin is none"),
        ({}, "addons.calico.typha.replicas: is not used: Typha does not run here (5 nodes)"),
    ],
)
def test_what_is_not_used_is_warned_of(spec: dict[str, Any], warning: str) -> None:
    found = _cluster({"typha": {"replicas": 3}}, **spec).warnings
    assert any(warning in text for text in found)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{ version: 'v3.x' }", "addons.calico.version: is 'v3.x'"),
        ("{ image+: { node: 'x' } }", "addons.calico.image: is no knob of this addon"),
        ("{ mtu: '1400' }", "addons.calico.mtu: is a string"),
    ],
)
def test_a_bad_knob_is_named(text: str, what: str, tmp_path: Path) -> None:
    own = tmp_path / "clusters" / "addons" / "addons.jsonnet"
    own.parent.mkdir(parents=True)
    own.write_text(f"{{ values+:: {{ calico+: {text} }} }}")
    cluster = _cluster({})
    with pytest.raises(RenderError, match=re.escape(what)):
        objects(cluster, RequestMaterial(cluster), tmp_path)
