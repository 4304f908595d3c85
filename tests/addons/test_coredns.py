"""What goldens do not say of CoreDNS: its versions, and that its Corefile is one."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.addons.cases import containers, members, pod_specs
from tests.addons.corefiles import COREDNS, Blocks, blocks
from tests.addons.made import made
from tests.components.clusters import MINORS
from tests.golden.addon_cases import ADDON_CASES, AddonCase, case_cluster
from tests.spec.samples import loaded

CASES = [case for case in ADDON_CASES if case.addon == "coredns"]


def corefile(case: AddonCase) -> Blocks:
    (found,) = (one for one in members(case) if (one["kind"], one["metadata"]["name"]) == ("ConfigMap", "coredns"))
    return blocks(found["data"]["Corefile"])


def deployment(**coredns: Any) -> dict[str, Any]:
    spec: dict[str, Any] = made(addons={"coredns": coredns})["Deployment", "coredns"]["spec"]
    return spec


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_a_corefile_names_plugins_that_every_release_has(case: AddonCase) -> None:
    found = corefile(case)
    assert {plugin for block in found.values() for plugin in block} <= COREDNS
    for zone, block in found.items():
        assert "errors" in block and "forward" in block, zone
    domain = case_cluster(case).network.domain
    assert found[".:53"]["kubernetes"][:3] == [domain, "in-addr.arpa", "ip6.arpa"]
    assert {"ready", "loop", "reload", "loadbalance"} <= found[".:53"].keys()


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_probes_ask_where_the_corefile_answers(case: AddonCase) -> None:
    spec = next(spec for member, spec in pod_specs(case) if member["metadata"]["name"] == "coredns")
    (one,) = spec["containers"]
    # Ports of the plugins health and ready where a Corefile names none.
    assert corefile(case)[".:53"]["health"] == ["lameduck 5s"] and corefile(case)[".:53"]["ready"] == []
    assert (one["livenessProbe"]["httpGet"]["port"], one["readinessProbe"]["httpGet"]["port"]) == (8080, 8181)
    assert {port["containerPort"] for port in one["ports"]} == {53, 9153}


def test_each_minor_has_a_release_and_none_goes_back() -> None:
    found = []
    for minor in MINORS:
        (one,) = made(versions={"kubernetes": f"{minor}.0"})["Deployment", "coredns"]["spec"]["template"]["spec"][
            "containers"
        ]
        match = re.fullmatch(r"registry\.k8s\.io/coredns(?:/coredns)?:v?([0-9.]+)", one["image"])
        assert match is not None, one["image"]
        found.append([int(part) for part in match[1].split(".")])
    assert found == sorted(found) and found[0] == [1, 7, 0] and found[-1] == [1, 14, 2]


@pytest.mark.parametrize("minor", MINORS)
def test_it_is_root_only_where_port_53_asks_for_it(minor: str) -> None:
    spec = made(versions={"kubernetes": f"{minor}.0"})["Deployment", "coredns"]["spec"]["template"]["spec"]
    free = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "53"}
    # A sysctl that kubelets do not know as safe would keep the pod from starting.
    late = MINORS.index(minor) >= MINORS.index("1.22")
    assert spec["securityContext"].get("runAsNonRoot", False) is late
    assert (free in spec["securityContext"].get("sysctls", [])) is late


def test_endpoints_are_read_by_the_api_that_the_release_knows() -> None:
    for minor in MINORS:
        rules = made(versions={"kubernetes": f"{minor}.0"})["ClusterRole", "system:coredns"]["rules"]
        resources = {resource for rule in rules for resource in rule["resources"]}
        old = MINORS.index(minor) < MINORS.index("1.22")
        assert resources == {"namespaces", "services", "endpoints" if old else "endpointslices"}, minor


def test_one_replica_is_replaced_before_it_goes() -> None:
    assert deployment(replicas=1)["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert deployment(replicas=3)["strategy"]["rollingUpdate"]["maxUnavailable"] == 1
    assert deployment(replicas=3)["replicas"] == 3
    assert "replicas" not in deployment(autoscale={"enabled": True})


def test_a_new_corefile_makes_new_pods() -> None:
    before, after = (deployment(cacheSeconds=seconds)["template"]["metadata"]["annotations"] for seconds in (30, 31))
    assert before.keys() == after.keys() and before != after


def test_every_image_comes_from_the_own_registry() -> None:
    found = made(addons={"registry": "one.example.net", "coredns": {"autoscale": {"enabled": True}}})
    images = [
        one["image"]
        for member in found.values()
        if member["kind"] == "Deployment"
        for one in containers(member["spec"]["template"]["spec"])
    ]
    assert len(images) >= 2 and all(image.startswith("one.example.net/") for image in images)


def test_nothing_is_rendered_where_it_is_off() -> None:
    assert not [key for key in made(addons={"coredns": {"enabled": False}}) if "dns" in key[1]]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("10.0.0.53", "10.0.0.53"), ("10.0.0.53:5353", "10.0.0.53:5353"), ("FD00:0::53", "fd00::53"),
        ("[fd00:0::53]:53", "[fd00::53]:53"), ("/etc/resolv.conf", "/etc/resolv.conf"),
    ],
)  # fmt: skip
def test_name_servers_are_kept_in_one_form(written: str, kept: str) -> None:
    assert loaded(addons={"coredns": {"upstream": [written]}}).addons.coredns.upstream == [kept]


def test_replicas_beside_autoscale_are_warned_about() -> None:
    warnings = loaded(addons={"coredns": {"replicas": 3, "autoscale": {"enabled": True}}}).warnings
    assert len(warnings) == 1 and "replicas: is not used: autoscale is on" in warnings[0]


def test_a_server_block_of_a_domain_of_its_own_is_taken() -> None:
    text = "legacy.example.net {\n    forward . 10.0.0.53\n}\n# a brace { in a comment\n"
    assert loaded(addons={"coredns": {"extraServerBlocks": text}}).warnings == ()
