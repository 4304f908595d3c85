"""Objects compared: noise does not count, secrets are never shown, sets are read strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.object_diff import ON_CHANGE, overlaid, same, text_diff
from fleet.object_sets import SET_LABEL, binds_group, load_set
from generator.errors import StaleTreeError
from generator.formats.yaml_text import yaml_text


def configmap(**data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "labels": {SET_LABEL: "00-x"}},
        "data": data,
    }


def live(**data: str) -> dict[str, Any]:
    value = configmap(**data)
    value["metadata"] |= {
        "uid": "1",
        "resourceVersion": "7",
        "managedFields": [{"manager": "x"}],
        "creationTimestamp": "t",
    }
    return {**value, "status": {"a": 1}}


def test_what_the_server_adds_by_itself_is_no_difference() -> None:
    assert same(live(a="1"), configmap(a="1"))
    assert not same(live(a="1"), configmap(a="2"))


def test_lines_show_what_changes() -> None:
    lines = text_diff(live(a="1", b="2"), configmap(a="1", b="3"))
    assert [line for line in lines if line[0] in "+-"] == ["-  b: '2'", "+  b: '3'"]
    assert all(line.startswith("+") for line in text_diff(None, configmap(a="1")))


def test_a_change_of_content_says_what_it_interrupts() -> None:
    words = {ON_CHANGE: "pods of a lose their way"}

    def noted(value: dict[str, Any], **labels: str) -> dict[str, Any]:
        metadata = {**value["metadata"], "annotations": words, "labels": {**value["metadata"]["labels"], **labels}}
        return {**value, "metadata": metadata}

    assert text_diff(live(a="1"), noted(configmap(a="2")))[-1] == "! pods of a lose their way"
    assert text_diff(noted(live(a="1")), noted(configmap(a="2")))[-1] == "! pods of a lose their way"
    only_metadata = text_diff(noted(live(a="1")), noted(configmap(a="1"), team="net"))
    assert only_metadata and not any(line.startswith("!") for line in only_metadata)
    assert not any(line.startswith("!") for line in text_diff(None, noted(configmap(a="1"))))


@pytest.mark.parametrize("field", ["data", "stringData"])
def test_values_of_secrets_are_never_shown(field: str) -> None:
    def secret(**data: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, field: data}

    lines = "\n".join(text_diff(secret(a="geheim1", b="geheim2", c="geheim3"), secret(a="geheim1", b="neu4", d="neu5")))
    assert "geheim" not in lines and "neu" not in lines
    assert "b: (not shown, changed)" in lines and "+  d: (not shown, changed)" in lines
    assert "neu" not in "\n".join(text_diff(None, secret(a="neu6")))


def test_a_reader_compares_what_is_wanted_and_leaves_defaults() -> None:
    wanted = {"spec": {"ports": [{"port": 1}], "a": {"b": 1}}}
    found = {"spec": {"ports": [{"port": 1, "protocol": "TCP"}], "a": {"b": 1, "c": 2}, "type": "x"}}
    assert overlaid(found, wanted) == found
    assert overlaid(found, {"spec": {"ports": [{"port": 2}]}})["spec"]["ports"] == [{"port": 2, "protocol": "TCP"}]
    assert overlaid(found, {"spec": {"ports": []}})["spec"]["ports"] == []


def write(root: Path, value: dict[str, Any], index: Any) -> Path:
    folder = root / "objects" / "00-x"
    folder.mkdir(parents=True)
    (folder / "f.yaml").write_text(yaml_text(value))
    (folder / "index.yaml").write_text(yaml_text(index))
    return root


ENTRY = {"file": "f.yaml", "apiVersion": "v1", "kind": "ConfigMap", "name": "a"}


def test_a_set_is_read_in_the_order_of_its_index(tmp_path: Path) -> None:
    found = load_set(write(tmp_path, configmap(a="1"), {"objects": [ENTRY]}), "00-x")
    assert [str(ref) for ref in found.refs] == ["ConfigMap a"]


@pytest.mark.parametrize(
    ("value", "index"),
    [
        (configmap(), {"objects": [{**ENTRY, "name": "b"}]}),
        (configmap(), {"objects": [{**ENTRY, "file": "none.yaml"}]}),
        (configmap(), {"objects": 3}),
        (configmap(), []),
        ({**configmap(), "metadata": {"name": "a"}}, {"objects": [ENTRY]}),
        ({**configmap(), "metadata": {"name": "a", "labels": {SET_LABEL: "other"}}}, {"objects": [ENTRY]}),
    ],
)
def test_a_set_that_render_did_not_write_is_refused(tmp_path: Path, value: dict[str, Any], index: Any) -> None:
    with pytest.raises(StaleTreeError, match="run `invoke render`"):
        load_set(write(tmp_path, value, index), "00-x")


def test_the_binding_of_a_group_is_found() -> None:
    binding = {"kind": "ClusterRoleBinding", "subjects": [{"kind": "Group", "name": "slipway:admins"}]}
    user = {"kind": "ClusterRoleBinding", "subjects": [{"kind": "User", "name": "slipway:admins"}]}
    assert binds_group([configmap(), user, binding], "slipway:admins") is binding
    assert binds_group([configmap(), user, {"kind": "ClusterRoleBinding"}], "slipway:admins") is None
