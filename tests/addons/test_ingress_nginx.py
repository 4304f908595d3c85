"""What the golden objects of ingress-nginx cannot say: which version goes with which minor, and what is said of it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.addons.cases import members
from tests.golden.addon_cases import ADDON_CASES, AddonCase
from tests.spec.samples import loaded

CASES = [case for case in ADDON_CASES if case.addon == "ingress-nginx"]
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)

TESTED = {
    "v1.15.1": range(31, 36),
    "v1.14.5": range(30, 35),
    "v1.13.9": range(29, 34),
    "v1.12.8": range(28, 33),
    "v1.11.8": range(26, 31),
    "v1.9.6": range(25, 30),
    "v1.8.4": range(24, 28),
    "v1.6.4": range(23, 27),
    "v1.4.0": range(22, 26),
    "v1.3.1": range(20, 25),
}
"""Which minors a version was tested with (https://github.com/kubernetes/ingress-nginx#supported-versions-table)."""


def _container(case: AddonCase, minor: str = "") -> dict[str, Any]:
    (found,) = (one for one in members(case, minor) if one["kind"] in {"DaemonSet", "Deployment"})
    container: dict[str, Any] = found["spec"]["template"]["spec"]["containers"][0]
    return container


@pytest.mark.parametrize("minor", range(20, 37))
def test_a_minor_gets_a_version_that_was_tested_with_it(minor: int) -> None:
    container = _container(AddonCase("ingress-nginx", "default"), f"1.{minor}")
    version = container["image"].rpartition(":")[2]
    if minor > 35:
        assert version == "v1.15.1", "the last one there is"
        return
    assert minor in TESTED[version]
    newer = [one for one, minors in TESTED.items() if minor in minors and _number(one) > _number(version)]
    assert newer == []


def _number(version: str) -> list[int]:
    return [int(part) for part in re.findall("[0-9]+", version)]


@EVERY_CASE
def test_nobody_can_call_its_webhook_and_snippets_are_off(case: AddonCase) -> None:
    kinds = {one["kind"] for one in members(case)}
    assert "ValidatingWebhookConfiguration" not in kinds
    container = _container(case)
    assert not any("webhook" in argument for argument in container["args"])
    (settings,) = (one for one in members(case) if one["kind"] == "ConfigMap")
    assert settings["data"]["allow-snippet-annotations"] == "false"
    (policy,) = (
        one for one in members(case)
        if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == "ingress-nginx-controller"
    )  # fmt: skip
    opened = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
    assert opened == {port["containerPort"] for port in container["ports"]} == {80, 443, 10254}


@EVERY_CASE
def test_what_its_flags_name_is_there_and_its_own_to_read(case: AddonCase) -> None:
    flags = dict(one.removeprefix("--").partition("=")[::2] for one in _container(case)["args"])
    names = {(one["kind"], one["metadata"]["name"]) for one in members(case)}
    rules = [rule for one in members(case) if one["kind"] == "Role" for rule in one["rules"]]
    named = {(rule["resources"][0], name) for rule in rules for name in rule.get("resourceNames", [])}
    settings = flags["configmap"].rpartition("/")[2]
    assert ("ConfigMap", settings) in names and ("configmaps", settings) in named
    assert ("leases", flags["election-id"]) in named
    assert ("IngressClass", flags["ingress-class"]) in names
    if "publish-service" in flags:
        service = flags["publish-service"].rpartition("/")[2]
        assert ("Service", service) in names and ("services", service) in named
    if "default-ssl-certificate" in flags:
        assert ("Secret", flags["default-ssl-certificate"].rpartition("/")[2]) in names


def _warnings(minor: str, **section: Any) -> str:
    addons = {"ingressNginx": {"enabled": True, **section}}
    return "\n".join(loaded(versions={"kubernetes": f"{minor}.0"}, addons=addons).warnings)


@pytest.mark.parametrize(
    ("minor", "section", "texts"),
    [
        ("1.35", {}, ["has ended: since March 2026"]),
        ("1.36", {}, ["has ended", "was never tested with Kubernetes 1.36"]),
        ("1.25", {}, ["has ended", "CVE-2025-1097"]),
        ("1.35", {"config": {"allow-snippet-annotations": "true"}}, ["has ended", "lets everybody who may write"]),
    ],
)
def test_what_one_has_with_it_is_said(minor: str, section: dict[str, Any], texts: list[str]) -> None:
    found = [line for line in _warnings(minor, **section).splitlines() if "addons.ingressNginx" in line]
    assert len(found) == len(texts)
    assert all(any(text in line for line in found) for text in texts)


def test_nothing_is_said_of_one_that_is_not_installed() -> None:
    assert loaded().warnings == ()
