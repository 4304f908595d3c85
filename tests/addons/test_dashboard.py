"""The dashboard: no right over the cluster, no way in but with a token, and what validation says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet import objects
from fleet.kube import Api
from fleet.object_sets import SET_LABEL, ObjectSet
from tests.addons.cases import members, pod_specs
from tests.fleet.api_stand_in import Pki
from tests.fleet.object_store import ObjectStore, with_store
from tests.golden.addon_cases import ADDON_CASES, AddonCase
from tests.spec.samples import loaded

CASES = [case for case in ADDON_CASES if case.addon == "dashboard"]
KEY_HOLDER = "kubernetes-dashboard-key-holder"
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
    making = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}]
    assert [rule for rule in rules if "resourceNames" not in rule] == making
    named = [rule for rule in rules if rule not in making]
    assert named and all(rule["resourceNames"] and set(rule["verbs"]) == {"get", "update"} for rule in named)


@EVERY_CASE
def test_nobody_gets_in_without_a_token(case: AddonCase) -> None:
    args = {member["metadata"]["name"]: spec["containers"][0].get("args", []) for member, spec in pod_specs(case)}
    page = args["kubernetes-dashboard"]
    assert "--authentication-mode=token" in page and "--auto-generate-certificates" in page
    assert not any("skip-login" in one or "insecure" in one for one in page)


@EVERY_CASE
def test_what_the_page_fills_in_is_declared_without_data(case: AddonCase) -> None:
    empty = {one["metadata"]["name"]: one for one in members(case) if one["kind"] in {"Secret", "ConfigMap"}}
    assert set(empty) == {f"kubernetes-dashboard-{name}" for name in ("certs", "csrf", "settings")}
    assert not any("data" in one or "stringData" in one for one in empty.values())
    needed = {name for one in members(case) if one["kind"] == "Role" for rule in one["rules"]
              for name in rule.get("resourceNames", ())}  # fmt: skip
    assert needed - {KEY_HOLDER} == set(empty) - {"kubernetes-dashboard-certs"}


def test_what_the_page_writes_is_no_difference(tmp_path: Path) -> None:
    """The page changes its Secrets in place, but for the key holder: it makes or overwrites that one without labels."""
    kept = [
        {**one, "metadata": {**one["metadata"], "labels": {**one["metadata"]["labels"], SET_LABEL: "61-dashboard"}}}
        for one in members(AddonCase("dashboard", "default"))
        if one["kind"] in {"Secret", "ConfigMap"}
    ]
    declared = ObjectSet("61-dashboard", tuple(kept))
    store, pki = ObjectStore(), Pki()

    async def action(api: Api) -> None:
        assert len(await objects.apply_set(api, declared)) == len(kept)
        metadata = {"name": KEY_HOLDER, "namespace": "kubernetes-dashboard"}
        store.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"priv": "eA==", "pub": "eA=="}})
        crossing = store.get("Secret", "kubernetes-dashboard-csrf", "kubernetes-dashboard")
        store.put({**crossing, "data": {"csrf": "eA=="}})
        assert await objects.differences(api, declared) == ()
        assert await objects.apply_set(api, declared) == ()
        assert "labels" not in store.get("Secret", KEY_HOLDER, "kubernetes-dashboard")["metadata"]

    with_store(pki, tmp_path, store, action)


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
