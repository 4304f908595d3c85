"""The dashboard: no right over the cluster, no way in but with a token, and what validation says of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.addons.cases import members, pod_specs
from tests.golden.addon_cases import ADDON_CASES, AddonCase
from tests.spec.samples import loaded

CASES = [case for case in ADDON_CASES if case.addon == "dashboard"]
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@EVERY_CASE
def test_the_page_has_rights_in_its_own_namespace_alone_and_to_named_objects(case: AddonCase) -> None:
    bound = {
        (one["kind"], one["roleRef"]["name"], one["subjects"][0]["name"])
        for one in members(case)
        if one["kind"].endswith("Binding")
    }
    assert bound - {("ClusterRoleBinding", "dashboard-metrics-scraper", "dashboard-metrics-scraper")} == {
        ("RoleBinding", "kubernetes-dashboard", "kubernetes-dashboard")
    }
    rules = [rule for one in members(case) if one["kind"] == "Role" for rule in one["rules"]]
    assert rules and all(rule["resourceNames"] and set(rule["verbs"]) == {"get", "update"} for rule in rules)


@EVERY_CASE
def test_nobody_gets_in_without_a_token(case: AddonCase) -> None:
    args = {member["metadata"]["name"]: spec["containers"][0].get("args", []) for member, spec in pod_specs(case)}
    page = args["kubernetes-dashboard"]
    assert "--authentication-mode=token" in page and "--auto-generate-certificates" in page
    assert not any("skip-login" in one or "insecure" in one for one in page)


@EVERY_CASE
def test_what_the_page_fills_in_is_declared_without_data(case: AddonCase) -> None:
    empty = {one["metadata"]["name"]: one for one in members(case) if one["kind"] in {"Secret", "ConfigMap"}}
    assert set(empty) == {f"kubernetes-dashboard-{name}" for name in ("certs", "csrf", "key-holder", "settings")}
    assert not any("data" in one or "stringData" in one for one in empty.values())
    needed = {name for one in members(case) if one["kind"] == "Role" for rule in one["rules"]
              for name in rule["resourceNames"]}  # fmt: skip
    assert needed == set(empty) - {"kubernetes-dashboard-certs"}


@EVERY_CASE
def test_only_an_ingress_that_is_said_leads_to_the_page(case: AddonCase) -> None:
    into = [
        one["spec"]["ingress"]
        for one in members(case)
        if one["kind"] == "NetworkPolicy"
        and one["spec"].get("ingress")
        and one["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "page"
    ]
    wanted: list[Any] = []
    if case.name == "ingress":
        name = {"kubernetes.io/metadata.name": "traefik"}
        wanted = [[{
            "from": [{"namespaceSelector": {"matchLabels": name}}],
            "ports": [{"port": 8443, "protocol": "TCP"}],
        }]]  # fmt: skip
    assert into == wanted


@pytest.mark.parametrize(
    ("addons", "minor", "texts"),
    [
        ({"dashboard": {"enabled": False}, "metricsServer": {"enabled": False}}, "1.36", []),
        ({"dashboard": {"enabled": True}}, "1.36", ["archived the dashboard"]),
        (
            {"dashboard": {"enabled": True}, "metricsServer": {"enabled": False}},
            "1.36",
            ["archived the dashboard", "what metrics-server measures, which is not enabled"],
        ),
        (
            {"dashboard": {"enabled": True, "ingress": {"host": "d.example.net", "namespace": "traefik"}}},
            "1.20",
            ["archived the dashboard", "label traefik with kubernetes.io/metadata.name=traefik"],
        ),
    ],
)
def test_what_is_doubtful_is_said(addons: Any, minor: str, texts: list[str]) -> None:
    warnings = [
        one for one in loaded(addons=addons, versions={"kubernetes": f"{minor}.0"}).warnings if "dashboard" in one
    ]
    assert len(warnings) == len(texts)
    assert all(any(text in one for one in warnings) for text in texts)
