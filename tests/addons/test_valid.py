"""Every object of every addon fits the schemas of the API, in each minor, with the versions that the minor serves."""

from __future__ import annotations

import jsonschema
import kubernetes_validate
import pytest

from tests.addons.cases import containers, in_minors, members, pod_specs
from tests.addons.schemas import check
from tests.golden.addon_cases import ADDON_CASES, AddonCase


@pytest.mark.parametrize(
    ("case", "minor"), in_minors(), ids=lambda value: value if isinstance(value, str) else f"{value.addon}/{value.name}"
)
def test_objects_fit_the_schemas_of_the_api(case: AddonCase, minor: str) -> None:
    own = {
        (f"{member['spec']['group']}/{version['name']}", member["spec"]["names"]["kind"])
        for member in members(case, minor)
        if member["kind"] == "CustomResourceDefinition"
        for version in member["spec"]["versions"]
        if version["served"]
    }
    for member in members(case, minor):
        # What a definition beside it defines has no schema elsewhere; the API server judges it in the lab.
        if (member["apiVersion"], member["kind"]) not in own:
            check(member, minor)


@pytest.mark.parametrize("case", ADDON_CASES, ids=lambda case: f"{case.addon}/{case.name}")
def test_ports_say_their_protocol_without_which_old_servers_cannot_tell_them_apart(case: AddonCase) -> None:
    for member in members(case):
        if member["kind"] == "Service":
            assert all("protocol" in port for port in member["spec"]["ports"]), member["metadata"]["name"]
    for member, spec in pod_specs(case):
        ports = [port for one in containers(spec) for port in one.get("ports", [])]
        assert all("protocol" in port for port in ports), member["metadata"]["name"]


@pytest.mark.parametrize("minor", ["1.20", "1.36"])
def test_a_wrong_object_is_found(minor: str) -> None:
    metadata = {"name": "x"}
    unknown = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "dataa": {}}
    with pytest.raises(jsonschema.ValidationError):
        check(unknown, minor)
    check({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}, minor)
    not_served = {"1.20": "batch/v1", "1.36": "batch/v1beta1"}[minor]
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        check({"apiVersion": not_served, "kind": "CronJob", "metadata": metadata, "spec": {}}, minor)
