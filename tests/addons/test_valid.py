"""Every object of every addon fits the schemas of the API, in each minor, with the versions that the minor serves."""

from __future__ import annotations

import kubernetes_validate
import pytest

from tests.addons.cases import in_minors, members
from tests.golden.addon_cases import AddonCase


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
            kubernetes_validate.validate(member, minor, strict=True)


def test_a_wrong_object_is_found() -> None:
    wrong = {"apiVersion": "batch/v1beta1", "kind": "CronJob", "metadata": {"name": "x"}, "spec": {}}
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate(wrong, "1.25", strict=True)
    unknown = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "dataa": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(unknown, "1.36", strict=True)
