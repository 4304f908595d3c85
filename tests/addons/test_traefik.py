"""What Traefik's golden objects cannot say: how they hang together, and what the spec says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import rjsonnet
import yaml

from generator.errors import RenderError
from generator.pki.request_material import RequestMaterial
from generator.render.object_secrets import ANNOTATION
from generator.render.objects import ADDONS, cluster_argument, objects
from generator.spec import ports
from tests.addons.cases import members
from tests.golden.addon_cases import ADDON_CASES, AddonCase
from tests.spec.samples import loaded

CASES = [case for case in ADDON_CASES if case.addon == "traefik"]
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def _by_kind(case: AddonCase, kind: str, name: str = "traefik") -> Mapping[str, Any]:
    (found,) = (one for one in members(case) if one["kind"] == kind and one["metadata"]["name"] == name)
    return found


def _template(case: AddonCase) -> Mapping[str, Any]:
    (found,) = (one for one in members(case) if one["kind"] in {"DaemonSet", "Deployment"})
    template: Mapping[str, Any] = found["spec"]["template"]
    return template


def _pods(case: AddonCase) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = _template(case)["spec"]
    return spec


def _arguments(case: AddonCase) -> dict[str, str]:
    arguments = [one.removeprefix("--").partition("=") for one in _pods(case)["containers"][0]["args"]]
    assert len({name for name, _, _ in arguments}) == len(arguments)
    return {name: value for name, _, value in arguments}


@EVERY_CASE
def test_services_probes_and_policies_meet_the_ports_on_which_it_listens(case: AddonCase) -> None:
    container = _pods(case)["containers"][0]
    named = {one["name"]: one["containerPort"] for one in container["ports"]}
    entries = {
        name.split(".")[1]: int(value.removeprefix(":"))
        for name, value in _arguments(case).items()
        if name.startswith("entryPoints.") and name.endswith(".address")
    }
    assert named == {
        "http": entries["web"], "https": entries["websecure"],
        "metrics": entries["metrics"], "ping": entries["traefik"],
    }  # fmt: skip
    assert all(port >= 1024 for port in named.values()), "so that it needs no capability"
    for service in ("traefik", "traefik-metrics"):
        for port in _by_kind(case, "Service", service)["spec"]["ports"]:
            assert port["targetPort"] in named
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/ping", "port": "ping"}
    opened = [port["port"] for rule in _by_kind(case, "NetworkPolicy")["spec"]["ingress"] for port in rule["ports"]]
    assert sorted(opened) == sorted(named[name] for name in ("http", "https", "metrics"))


@EVERY_CASE
def test_there_is_neither_api_nor_dashboard_and_no_word_to_the_makers(case: AddonCase) -> None:
    arguments = _arguments(case)
    assert not any(name.lower().startswith("api") for name in arguments)
    assert arguments["global.checkNewVersion"] == arguments["global.sendAnonymousUsage"] == "false"


@EVERY_CASE
def test_the_kinds_that_are_defined_are_those_that_it_reads(case: AddonCase) -> None:
    defined = {
        one["spec"]["names"]["plural"] for one in members(case) if one["kind"] == "CustomResourceDefinition"
    }  # fmt: skip
    rules = _by_kind(case, "ClusterRole")["rules"]
    read = {resource for rule in rules if rule["apiGroups"] == ["traefik.io"] for resource in rule["resources"]}
    assert defined == read
    assert bool(read) == ("providers.kubernetesCRD" in _arguments(case))


@EVERY_CASE
def test_pod_security_is_as_strict_as_the_way_in_lets_it_be(case: AddonCase) -> None:
    on_hosts = any("hostPort" in port for port in _pods(case)["containers"][0]["ports"])
    labels = _by_kind(case, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == ("privileged" if on_hosts else "restricted")
    assert on_hosts == (_by_kind(case, "Service")["spec"]["type"] == "ClusterIP")


def _traefik(**section: Any) -> dict[str, Any]:
    return {"traefik": {"enabled": True, **section}}


def test_host_ports_stand_in_the_port_table_of_pools_that_it_may_run_on() -> None:
    cluster = loaded(addons=_traefik(hostPorts={"https": 8444}))
    found = {
        name: {one.port: one for one in ports.listeners(cluster, pool) if one.component == "traefik"}
        for name, pool in cluster.pools.items()
    }
    assert found["control"] == {}, "its pods do not bear the taint of the control plane"
    assert set(found["workers"]) == {80, 8444}
    assert {(one.scopes, one.callers) for one in found["workers"].values()} == {(("turned",), ("anyone",))}


@pytest.mark.parametrize(
    ("section", "pools"),
    [
        ({"expose": "nodePort"}, set()),
        ({"tolerations": [{"operator": "Exists"}]}, {"control", "workers"}),
        ({"tolerations": [{"key": "node-role.kubernetes.io/control-plane"}]}, {"control", "workers"}),
        ({"tolerations": [{"key": "a", "operator": "Equal", "value": "b"}]}, {"workers"}),
        ({"nodeSelector": {"kubernetes.io/os": "linux"}}, {"workers"}),
        ({"nodeSelector": {"zone": "dmz"}}, set()),
        ({"nodeSelector": {"node-role.kubernetes.io/worker": ""}}, {"workers"}),
    ],
)
def test_where_it_may_run_follows_labels_and_taints(section: dict[str, Any], pools: set[str]) -> None:
    cluster = loaded(addons=_traefik(**section))
    assert {
        name for name, pool in cluster.pools.items()
        if any(one.component == "traefik" for one in ports.listeners(cluster, pool))
    } == pools  # fmt: skip


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ({"expose": "loadBalancer"}, "traefik.expose: needs something that gives Services of type LoadBalancer"),
        ({"nodeSelector": {"zone": "dmz"}}, "traefik.nodeSelector: no node has the labels"),
        ({"replicas": 3}, "traefik.replicas: is not used: kind is daemonset"),
        ({"nodePorts": {"http": 30080}}, "traefik.nodePorts: is not used: expose is hostPort"),
        ({"expose": "nodePort", "hostPorts": {"http": 81}}, "traefik.hostPorts: is not used: expose is nodePort"),
        ({"kind": "deployment"}, "2 pods want the same ports of 1 node, and each node has them once"),
    ],
)
def test_what_is_doubtful_is_a_warning(section: dict[str, Any], text: str) -> None:
    assert any(text in warning for warning in loaded(addons=_traefik(**section)).warnings)


def test_a_plain_one_has_no_warning_and_one_for_kubernetes_1_20_says_how_old_it_is() -> None:
    assert loaded(addons=_traefik()).warnings == ()
    assert any(
        "is v3.0.4 with Kubernetes 1.20" in warning
        for warning in loaded(versions={"kubernetes": "1.20.15"}, addons=_traefik()).warnings
    )


def test_a_certificate_for_all_comes_from_sealed_secrets_and_is_mounted_where_it_is_looked_for() -> None:
    case = AddonCase("traefik", "default-certificate")
    secret = _by_kind(case, "Secret", "traefik-default-certificate")
    assert secret["type"] == "kubernetes.io/tls" and "data" not in secret
    lines = secret["metadata"]["annotations"][ANNOTATION].splitlines()
    assert [line.split()[:2] for line in lines] == [["tls.crt", "addons/www-crt"], ["tls.key", "addons/www-key"]]
    spec = _pods(case)
    (volume,) = (one for one in spec["volumes"] if one["name"] == "certificate")
    (mount,) = (one for one in spec["containers"][0]["volumeMounts"] if one["name"] == "certificate")
    assert volume["secret"]["secretName"] == secret["metadata"]["name"] and mount["readOnly"]
    settings = yaml.safe_load(_by_kind(case, "ConfigMap")["data"]["tls.yaml"])
    assert settings["tls"]["stores"]["default"]["defaultCertificate"] == {
        "certFile": f"{mount['mountPath']}/tls.crt", "keyFile": f"{mount['mountPath']}/tls.key",
    }  # fmt: skip


def test_another_certificate_rolls_the_pods() -> None:
    secrets = {"certificate": "addons/www-crt", "key": "addons/www-key"}
    cluster = loaded(addons={**_traefik(defaultCertificate=secrets), "metricsServer": {"enabled": False}})

    def annotations(identifier: str) -> dict[str, str]:
        argument = {**cluster_argument(cluster), "certificates": {}, "secretIds": {"addons/www-key": identifier}}
        text = rjsonnet.evaluate_file(str(ADDONS / "main.jsonnet"), tla_codes={"cluster": json.dumps(argument)})
        found: dict[str, str] = json.loads(text)["50-traefik"]["workload"]["spec"]["template"]["metadata"][
            "annotations"
        ]
        return found

    assert annotations("one") != annotations("two")


def test_what_holds_for_tls_rolls_the_pods() -> None:
    usual, strict = (_template(AddonCase("traefik", name)) for name in ("default", "load-balancer"))
    assert usual["metadata"]["annotations"] != strict["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{ values+:: { traefik+: { resource: {} } } }", "addons.traefik.resource: .*did you mean resources"),
        ("{ values+:: { traefik+: { extraArgs: '--log' } } }", "addons.traefik.extraArgs: is a string.*it must be"),
    ],
)
def test_an_unknown_knob_and_a_wrong_type_name_the_addon(tmp_path: Path, text: str, message: str) -> None:
    cluster = loaded(addons=_traefik())
    own = tmp_path / "clusters" / cluster.name / "addons.jsonnet"
    own.parent.mkdir(parents=True)
    own.write_text(text)
    with pytest.raises(RenderError, match=message):
        objects(cluster, RequestMaterial(cluster), tmp_path)
