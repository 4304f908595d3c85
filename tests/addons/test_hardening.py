"""What holds for the pods, namespaces and rights of every addon."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from generator.render.objects import SET_LABEL
from tests.addons.cases import containers, members, pod_specs
from tests.addons.exceptions import (
    HOST_NETWORK,
    HOST_PATHS_WRITTEN,
    MAY_ESCALATE,
    MAY_WRITE_ROOT,
    PRIVILEGED,
    RUNS_AS_ROOT,
    WILDCARDS,
    WITHOUT_PROBES,
)
from tests.golden.addon_cases import ADDON_CASES, FOLDER, AddonCase

REASONS = FOLDER.parent.parent / "addons" / "reasons"
IMAGE = re.compile(r"[a-z0-9.-]+(:[0-9]+)?/[a-z0-9./_-]+:[A-Za-z0-9._-]+(@sha256:[0-9a-f]{64})?")
EVERY_CASE = pytest.mark.parametrize("case", ADDON_CASES, ids=lambda case: f"{case.addon}/{case.name}")


def _name(case: AddonCase, member: Mapping[str, Any], container: Mapping[str, Any]) -> str:
    return f"{case.addon}/{member['metadata']['name']}/{container['name']}"


def _let(names: frozenset[str], case: AddonCase, name: str) -> bool:
    return name in names or f"{name} ({case.name})" in names


@EVERY_CASE
def test_containers_have_resources_and_no_right_too_many(case: AddonCase) -> None:
    for member, spec in pod_specs(case):
        for one in containers(spec):
            name = _name(case, member, one)
            resources = one["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]), name
            assert "memory" in resources["limits"], name
            security = one["securityContext"]
            assert bool(security.get("privileged")) == (name in PRIVILEGED), name
            if name not in PRIVILEGED:
                assert (security.get("allowPrivilegeEscalation") is False) == (not _let(MAY_ESCALATE, case, name)), name
                assert security["capabilities"]["drop"] == ["ALL"], name
            assert bool(security.get("readOnlyRootFilesystem")) == (not _let(MAY_WRITE_ROOT, case, name)), name
            user = security.get("runAsUser", spec.get("securityContext", {}).get("runAsUser"))
            no_root = security.get("runAsNonRoot", spec.get("securityContext", {}).get("runAsNonRoot", False))
            assert (bool(user) and no_root) == (not _let(RUNS_AS_ROOT, case, name)), name


@EVERY_CASE
def test_what_runs_on_has_probes_and_images_are_pinned(case: AddonCase) -> None:
    for member, spec in pod_specs(case):
        for one in containers(spec):
            assert re.fullmatch(
                r"[a-z0-9.-]+(:[0-9]+)?/[a-z0-9./_-]+:[A-Za-z0-9._-]+(@sha256:[0-9a-f]{64})?", one["image"]
            )
            assert not one["image"].endswith(":latest") and one.get("imagePullPolicy", "IfNotPresent") != "Always"
        if member["kind"] in {"Deployment", "DaemonSet", "StatefulSet"}:
            for one in spec["containers"]:
                if _name(case, member, one) not in WITHOUT_PROBES:
                    assert "livenessProbe" in one or "readinessProbe" in one, _name(case, member, one)


@EVERY_CASE
def test_pods_have_accounts_of_their_own_and_what_they_touch_on_hosts_is_known(case: AddonCase) -> None:
    for member, spec in pod_specs(case):
        name = f"{case.addon}/{member['metadata']['name']}"
        assert spec["serviceAccountName"] != "default", name
        assert bool(spec.get("hostNetwork")) == (name in HOST_NETWORK), name
        written = {
            f"{name}:{volume['hostPath']['path']}"
            for volume in spec.get("volumes", [])
            if "hostPath" in volume
            for one in containers(spec)
            for mount in one.get("volumeMounts", [])
            if mount["name"] == volume["name"] and not mount.get("readOnly")
        }
        assert written <= HOST_PATHS_WRITTEN, name


@EVERY_CASE
def test_namespaces_say_how_strict_they_are_and_deny_what_no_policy_allows(case: AddonCase) -> None:
    for member in members(case):
        if member["kind"] == "Namespace":
            labels = dict(member["metadata"]["labels"])
            level = labels["pod-security.kubernetes.io/enforce"]
            assert level in {"restricted", "baseline", "privileged"}
            assert labels == {
                "app.kubernetes.io/name": member["metadata"]["name"],
                "app.kubernetes.io/part-of": "slipway",
                **{f"pod-security.kubernetes.io/{mode}": level for mode in ("enforce", "audit", "warn")},
                **{f"pod-security.kubernetes.io/{mode}-version": "latest" for mode in ("enforce", "audit", "warn")},
                SET_LABEL: labels[SET_LABEL],
            }
            denied = [
                one["spec"]
                for one in members(case)
                if one["kind"] == "NetworkPolicy" and one["metadata"]["namespace"] == member["metadata"]["name"]
            ]
            assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in denied, member["metadata"]["name"]


def _rule(rule: Mapping[str, Any]) -> str:
    """Return a rule as the files of reasons write it."""
    if "nonResourceURLs" in rule:
        return f"{','.join(rule['verbs'])} {','.join(rule['nonResourceURLs'])}"
    groups = rule["apiGroups"]
    resources = [f"{group}/{one}" if group else one for group in groups for one in rule["resources"]]
    names = f" names={','.join(rule['resourceNames'])}" if "resourceNames" in rule else ""
    return f"{','.join(rule['verbs'])} {','.join(resources)}{names}"


def _rules(case: AddonCase) -> set[tuple[str, str]]:
    found = set()
    for member in members(case):
        if member["kind"] in {"ClusterRole", "Role"}:
            metadata = member["metadata"]
            role = "/".join(part for part in (metadata.get("namespace"), metadata["name"]) if part)
            found |= {(f"{member['kind']} {role}", _rule(rule)) for rule in member.get("rules") or ()}
    return found


@pytest.mark.parametrize("addon", sorted({case.addon for case in ADDON_CASES}))
def test_every_right_has_its_reason(addon: str) -> None:
    granted = set().union(*(_rules(case) for case in ADDON_CASES if case.addon == addon))
    path = REASONS / f"{addon}.yaml"
    reasons = yaml.safe_load(path.read_text()) if path.exists() else []
    assert all(one["why"].strip() for one in reasons)
    assert {(one["role"], one["rule"]) for one in reasons} == granted, "mend tests/addons/reasons"


def test_no_right_is_for_everything() -> None:
    for case in ADDON_CASES:
        for role, rule in _rules(case):
            assert "*" not in rule or (role, rule) in WILDCARDS, (role, rule)
