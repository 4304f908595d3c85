"""cert-manager: the release for each minor, what is left to its programs to fill in, and what mirrors must hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from generator.errors import RenderError
from generator.pki.request_material import RequestMaterial
from generator.render.objects import images, objects
from generator.spec.addons.cert_manager import MADE_FOR
from generator.spec.versions import NEWEST_MINOR, OLDEST_MINOR, minor_of
from tests.addons.cases import members, pod_specs
from tests.golden.addon_cases import ADDON_CASES, AddonCase, case_cluster, case_objects
from tests.spec.samples import loaded

CASES = [case for case in ADDON_CASES if case.addon == "cert-manager"]
DEFAULT = AddonCase("cert-manager", "default")


def of_kind(case: AddonCase, kind: str) -> dict[str, Mapping[str, Any]]:
    return {one["metadata"]["name"]: one for one in members(case) if one["kind"] == kind}


@pytest.mark.parametrize(
    ("minor", "release"),
    [
        ("1.20", "v1.10.2"),
        ("1.21", "v1.11.5"),
        ("1.22", "v1.12.17"),
        ("1.28", "v1.12.17"),
        ("1.29", "v1.18.6"),
        ("1.30", "v1.18.6"),
        ("1.31", "v1.19.6"),
        ("1.32", "v1.20.4"),
        ("1.33", "v1.21.2"),
        ("1.36", "v1.21.2"),
    ],
)
def test_each_minor_gets_a_release_that_is_made_for_it(minor: str, release: str) -> None:
    found = {image.rpartition(":")[2] for image in images(case_objects(DEFAULT, f"{minor}.0")) if "jetstack" in image}
    assert found == {release}


@pytest.mark.parametrize("second", range(OLDEST_MINOR[1], NEWEST_MINOR[1] + 1))
def test_the_release_of_every_minor_is_made_for_it(second: int) -> None:
    (found,) = {
        image.rpartition(":v")[2] for image in images(case_objects(DEFAULT, f"1.{second}.0")) if "jetstack" in image
    }
    first, last = MADE_FOR[minor_of(found)]
    assert first <= second <= last


@pytest.mark.parametrize(
    ("version", "minor", "warned"),
    [("1.16.0", "1.24", True), ("1.16.0", "1.25", False), ("1.16.0", "1.32", False), ("1.16.0", "1.33", True)],
)
def test_a_release_that_is_not_made_for_the_minor_is_warned_of(version: str, minor: str, warned: bool) -> None:
    addons = {"certManager": {"enabled": True, "version": version}}
    warnings = loaded(addons=addons, versions={"kubernetes": f"{minor}.0"}).warnings
    assert any("1.16 is made for Kubernetes 1.25 to 1.32" in one for one in warnings) == warned


@pytest.mark.parametrize(("said", "wanted"), [("{}", {}), ("{ team: 'a' }", {"matchLabels": {"team": "a"}})])
def test_metrics_are_for_those_who_are_let_in_and_for_nobody_else(
    tmp_path: Path, said: str, wanted: dict[str, Any]
) -> None:
    assert "allow-metrics" not in of_kind(DEFAULT, "NetworkPolicy")
    cluster = case_cluster(DEFAULT)
    own = tmp_path / "clusters" / cluster.name / "addons.jsonnet"
    own.parent.mkdir(parents=True)
    own.write_text(f"{{ values+:: {{ certManager+: {{ metricsFrom: {said} }} }} }}")
    (policy,) = (
        one["spec"]
        for one in objects(cluster, RequestMaterial(cluster), tmp_path)["60-cert-manager"]
        if one["metadata"]["name"] == "allow-metrics"
    )
    assert policy["ingress"] == [
        {"from": [{"namespaceSelector": wanted}], "ports": [{"port": 9402, "protocol": "TCP"}]}
    ]
    assert "cainjector" in policy["podSelector"]["matchExpressions"][0]["values"]


@pytest.mark.parametrize(
    ("minor", "livez", "probed"), [("1.20", False, False), ("1.22", True, False), ("1.29", True, True)]
)
def test_what_is_probed_is_what_the_release_offers(minor: str, livez: bool, probed: bool) -> None:
    found = {one["metadata"]["name"]: spec["containers"][0] for one, spec in pod_specs(DEFAULT, minor)}
    assert ("httpGet" in found["cert-manager"]["livenessProbe"]) == livez
    assert ("livenessProbe" in found["cert-manager-cainjector"]) == probed
    assert {"livenessProbe", "readinessProbe"} <= set(found["cert-manager-webhook"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_its_programs_fill_in_is_nowhere_stated(case: AddonCase) -> None:
    secret = of_kind(case, "Secret")["cert-manager-webhook-ca"]
    assert set(secret) == {"apiVersion", "kind", "metadata", "type"}
    source = f"{secret['metadata']['namespace']}/{secret['metadata']['name']}"
    assert secret["metadata"]["annotations"] == {"cert-manager.io/allow-direct-injection": "true"}
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        webhook = of_kind(case, kind)["cert-manager-webhook"]
        assert webhook["metadata"]["annotations"] == {"cert-manager.io/inject-ca-from-secret": source}
        assert all("caBundle" not in one["clientConfig"] for one in webhook["webhooks"])


def test_the_webhook_judges_every_kind_and_its_status() -> None:
    kinds = {
        f"{one['spec']['group']}/{one['spec']['names']['plural']}{below}"
        for one in of_kind(DEFAULT, "CustomResourceDefinition").values()
        for below in ("", "/status")
    }
    rules = of_kind(DEFAULT, "ValidatingWebhookConfiguration")["cert-manager-webhook"]["webhooks"][0]["rules"]
    assert {f"{group}/{one}" for rule in rules for group in rule["apiGroups"] for one in rule["resources"]} == kinds
    assert len(kinds) == 12


def test_nobody_may_create_challenges_but_the_controller() -> None:
    granted = {
        name
        for name, role in of_kind(DEFAULT, "ClusterRole").items()
        for rule in role["rules"]
        if rule["apiGroups"] == ["acme.cert-manager.io"] and "create" in rule["verbs"]
    }
    assert granted == {"cert-manager-controller-challenges", "cert-manager-controller-orders"}
    for name in granted:
        assert "labels" in (role := of_kind(DEFAULT, "ClusterRole")[name])["metadata"]
        assert not any("aggregate" in label for label in role["metadata"]["labels"])


def test_the_image_of_challenges_is_listed_with_those_of_containers() -> None:
    case = AddonCase("cert-manager", "air-gap")
    found = [image for image in images(case_objects(case)) if "jetstack" in image]
    assert {image.split("/")[-1].split(":")[0] for image in found} == {
        "cert-manager-acmesolver", "cert-manager-cainjector", "cert-manager-controller", "cert-manager-webhook",
    }  # fmt: skip
    assert all(image.startswith("registry.example.net:5000/mirror/jetstack/") for image in found)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{ replica: 2 }", r"addons\.certManager\.replica: .*did you mean replicas\?"),
        ("{ replicas: '2' }", r"addons\.certManager\.replicas: is a string .*; it must be a number, like 1"),
        ("{ webhook+: { extraArg: [] } }", r"addons\.certManager\.webhook\.extraArg: .*did you mean extraArgs\?"),
    ],
)
def test_a_wrong_knob_is_named(tmp_path: Path, said: str, message: str) -> None:
    cluster = case_cluster(DEFAULT)
    own = tmp_path / "clusters" / cluster.name / "addons.jsonnet"
    own.parent.mkdir(parents=True)
    own.write_text(f"{{ values+:: {{ certManager+: {said} }} }}")
    with pytest.raises(RenderError, match=message):
        objects(cluster, RequestMaterial(cluster), tmp_path)
