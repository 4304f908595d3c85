"""Secrets among the objects: no value of theirs is ever rendered, and every reference names what is sealed."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from generator.errors import RenderError
from generator.pki.request_material import RequestMaterial
from generator.pki.store import PkiStore
from generator.render.object_secrets import ANNOTATION, secret_facts
from generator.render.objects import objects
from tests.pki.conftest import Workspace
from tests.pki.conftest import workspace as workspace
from tests.render.small import small_cluster

METRICS = "pki/addons/metrics-server"


def _secret(root: Path, data: str, rest: str = "", metadata: str = "") -> dict[str, Any]:
    cluster = small_cluster()
    folder = root / "clusters" / "small"
    folder.mkdir(parents=True)
    secret = f"{{ apiVersion: 'v1', kind: 'Secret', metadata: {{ name: 'a'{metadata} }}, data: {data}{rest} }}"
    (folder / "addons.jsonnet").write_text(f"function(cluster) {{ '80-x': {{ a: {secret} }} }}")
    (found,) = objects(cluster, RequestMaterial(cluster, sealed=["addons/x"]), root)["80-x"]
    return dict(found)


def test_text_stands_in_data_and_a_secret_in_an_annotation(tmp_path: Path) -> None:
    text = "{text: cluster.certificates['addons/metrics-server']}"
    found = _secret(
        tmp_path,
        f"{{'tls.key': {{secret: '{METRICS}'}}, 'tls.crt': {text}, password: {{secret: 'addons/x'}}}}",
        ", type: 'kubernetes.io/tls'",
        ", annotations: {other: 'kept'}",
    )
    material = RequestMaterial(small_cluster())
    assert set(found["data"]) == {"tls.crt"} and found["type"] == "kubernetes.io/tls"
    assert base64.b64decode(found["data"]["tls.crt"]).decode() == material.certificate("addons/metrics-server")
    lines = [f"password addons/x {material.secret_id('addons/x')}", f"tls.key {METRICS} {material.secret_id(METRICS)}"]
    assert found["metadata"]["annotations"] == {"other": "kept", ANNOTATION: "\n".join(lines)}


def test_a_secret_of_references_alone_has_no_data(tmp_path: Path) -> None:
    assert "data" not in _secret(tmp_path, f"{{'tls.key': {{secret: '{METRICS}'}}}}")


def test_a_secret_without_values_stays_as_it_is(tmp_path: Path) -> None:
    found = _secret(tmp_path, "{}")
    assert found["data"] == {} and "annotations" not in found["metadata"]


@pytest.mark.parametrize(
    ("data", "rest", "message"),
    [
        ("{b: 'Yw=='}", "", "80-x.a is a Secret with its values, .*: data.b; write"),
        ("{b: {text: 'c', secret: 'addons/x'}}", "", "a Secret with its values, .*: data.b; write"),
        ("{b: {secret: 1}}", "", "a Secret with its values, .*: data.b; write"),
        ("{b: {text: '-----BEGIN EC ' + 'PRIVATE KEY-----'}}", "", "a Secret with its values, .*: data.b; write"),
        ("['b']", "", "a Secret with its values, .*: data; write"),
        ("{}", ", stringData: {b: 'c'}", "a Secret with its values, .*: stringData; write"),
        ("{'b c': {text: ''}}", "", "'b c' is no key of a Secret"),
        (
            "{b: {secret: 'pki/addons/metric-server'}}",
            "",
            "80-x.a: data.b: pki/addons/metric-server: the cluster has no",
        ),
    ],
)
def test_what_is_no_reference_is_an_error_that_names_the_key(
    tmp_path: Path, data: str, rest: str, message: str
) -> None:
    with pytest.raises(RenderError, match=f"^small: addons: .*{message}"):
        _secret(tmp_path, data, rest)


def test_the_annotation_is_slipways_own(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=r"80-x\.a: the annotation slipway\.io/secrets is Slipway's own"):
        _secret(tmp_path, "{}", metadata=f", annotations: {{'{ANNOTATION}': 'b addons/x 0'}}")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "b: { secret: 'addons/x' }",
            r"the secret addons/x is not sealed; seal it with `invoke secrets.set --name addons/x`",
        ),
        (
            "b: { secret: 'addons/x' }, c: { text: 't' }, d: { secret: 'addons/a' }",
            r"the secrets addons/x, addons/a are not sealed; seal each with `invoke secrets.set --name NAME`, or",
        ),
    ],
)
def test_what_nobody_has_sealed_is_named_at_once(workspace: Workspace, data: str, message: str) -> None:
    workspace.issue()
    (workspace.dir / "addons.jsonnet").write_text(
        f"{{ '80-x': {{ a: {{ apiVersion: 'v1', kind: 'Secret', metadata: {{ name: 'a' }}, data: {{ {data} }} }} }} }}"
    )
    with pytest.raises(RenderError, match=rf"80-x\.a: {message}"):
        objects(workspace.cluster, workspace.store, workspace.root)


def test_jsonnet_sees_certificates_without_words_and_the_ids_of_keys(workspace: Workspace) -> None:
    workspace.issue()
    facts = secret_facts(workspace.cluster, workspace.store)
    assert set(facts["certificates"]) == {"ca", "front-proxy-ca", "addons/metrics-server"}
    for name, text in facts["certificates"].items():
        assert text.startswith("-----BEGIN CERTIFICATE-----") and text.endswith("-----END CERTIFICATE-----\n")
        assert text in workspace.store.certificate(name)
    assert facts["secretIds"] == {METRICS: workspace.store.secret_id(METRICS)}


def test_ids_of_what_people_have_sealed_are_there_too(workspace: Workspace) -> None:
    workspace.issue()
    (workspace.dir / "secrets" / "addons").mkdir()
    (workspace.dir / "secrets" / "addons" / "x.age").write_text("sealed")
    index = workspace.dir / "secrets" / "index.yaml"
    index.write_text(index.read_text() + '  addons/x: "0123456789abcdef"\n')
    facts = secret_facts(workspace.cluster, PkiStore(workspace.dir))
    assert facts["secretIds"]["addons/x"] == "0123456789abcdef"
