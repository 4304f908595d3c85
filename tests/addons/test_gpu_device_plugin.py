"""The device plugin: it runs where GPUs are, under the runtime that shows them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.addons.cases import members, pod_specs
from tests.golden.addon_cases import ADDON_CASES, AddonCase, case_objects, content
from tests.spec.samples import loaded

CASES = [case for case in ADDON_CASES if case.addon == "gpu-device-plugin"]
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@EVERY_CASE
def test_the_runtime_class_that_it_names_is_there(case: AddonCase) -> None:
    ((_, spec),) = pod_specs(case)
    classes = {
        one["metadata"]["name"]: one
        for members_of_set in case_objects(case).values()
        for one in members_of_set
        if one["kind"] == "RuntimeClass"
    }
    assert ([spec["runtimeClassName"]] if "runtimeClassName" in spec else []) == list(classes)
    for one in classes.values():
        # Admission adds these to the pod; what contradicts them would be refused.
        assert one["scheduling"]["nodeSelector"].items() <= spec["nodeSelector"].items()
        assert all(toleration in spec["tolerations"] for toleration in one["scheduling"].get("tolerations", ()))


@EVERY_CASE
def test_it_asks_nothing_of_the_api(case: AddonCase) -> None:
    ((_, spec),) = pod_specs(case)
    assert spec["automountServiceAccountToken"] is False
    assert not [one["kind"] for one in members(case) if "Role" in one["kind"]]


@EVERY_CASE
def test_what_the_spec_says_of_cards_reaches_the_plugin(case: AddonCase) -> None:
    said: dict[str, Any] = content(case)["patch"]["addons"]["gpuDevicePlugin"]
    data = next(json.loads(one["data"]["config.yaml"]) for one in members(case) if one["kind"] == "ConfigMap")
    assert data["flags"] == {"failOnInitError": True, "migStrategy": said.get("migStrategy", "none")}
    slices = {"timeSlicing": {"resources": [{"name": "nvidia.com/gpu", "replicas": said.get("timeSlices")}]}}
    assert data.get("sharing") == (slices if "timeSlices" in said else None)


def test_it_is_warned_where_there_is_no_gpu() -> None:
    def warned(**pools: Any) -> bool:
        found = loaded(addons={"gpuDevicePlugin": {"enabled": True}}, **pools).warnings
        return any("no pool has gpu, so the device plugin runs on no node" in one for one in found)

    assert warned()
    workers = {"roles": ["worker"], "os": "debian-12", "gpu": {"vendor": "nvidia"}}
    assert not warned(pools={"control": {"roles": ["etcd", "control-plane"]}, "workers": workers})
