"""Whatever addons.jsonnet gives is objects or one clear error."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.errors import RenderError
from generator.pki.request_material import RequestMaterial
from generator.render.objects import Known, Objects, images, object_files, object_sets
from tests.render.small import small_cluster

CLUSTER = small_cluster()
MATERIAL = RequestMaterial(CLUSTER)
KNOWN = Known({"30-coredns": ["deployment"]}, {"coredns": "30-coredns", "localPath": "41-local-path"})
KEY = "-----BEGIN EC " + "PRIVATE KEY-----"


def _sets(**members: Any) -> Objects:
    return object_sets(CLUSTER, MATERIAL, {"80-x": members}, KNOWN)


def _config_map(name: Any = "a", **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **more}}


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=3),
    max_leaves=6,
)
WORDS = ANY | st.sampled_from(["v1", "apps/v1", "Secret", "ConfigMap", "List", "a", "system:a", {"a": "b"}])
METADATA = st.fixed_dictionaries(
    {"name": st.just("a") | WORDS}, optional={"namespace": WORDS, "labels": WORDS, "annotations": WORDS, "other": ANY}
)
CONTAINERS = st.fixed_dictionaries({"containers": ANY | st.lists(st.fixed_dictionaries({"image": ANY}), max_size=2)})
MEMBER = st.fixed_dictionaries(
    {"apiVersion": st.just("v1") | WORDS, "kind": st.just("Secret") | WORDS, "metadata": METADATA | ANY},
    optional={
        "spec": CONTAINERS | ANY,
        "data": st.dictionaries(st.just("a"), ANY) | ANY,
        "stringData": ANY,
        "items": ANY,
    },
)
SETS = st.dictionaries(
    st.sampled_from(["80-x", "81-y", "30-coredns", "41-local-path", "x"]),
    ANY | st.dictionaries(st.text(max_size=4), ANY | MEMBER, max_size=3),
    max_size=2,
)


@settings(max_examples=400)
@given(SETS)
def test_whatever_jsonnet_gives_is_objects_or_one_clear_error(sets: dict[str, Any]) -> None:
    with suppress(RenderError):
        found = object_sets(CLUSTER, MATERIAL, sets, KNOWN)
        for path, content in object_files(found):
            assert path.startswith("objects/") and content.endswith(b"\n")
        images(found)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (_config_map(labels="x"), "80-x.a: metadata.labels is 'x'; write a map of texts"),
        (_config_map(labels={"a": 5}), r"metadata.labels\['a'\] is 5; write it as text, in quotes"),
        (_config_map(annotations=["x"]), r"metadata.annotations is \['x'\]; write a map of texts"),
        (_config_map(namespace=5), "metadata.namespace is 5; write lower-case"),
        (_config_map(namespace="a.b"), "metadata.namespace is 'a.b'; write lower-case"),
        (_config_map("A"), "metadata.name is 'A'; write lower-case"),
        (_config_map("a:b"), "metadata.name is 'a:b'; write lower-case"),
        (_config_map("a" * 254), "253 at most"),
        (_config_map("a" * 250), "too long for the name of a file"),
        ({**_config_map("a/b"), "kind": "ClusterRole"}, "metadata.name is 'a/b'; a name of this kind has no '/'"),
        ({**_config_map(), "kind": "config map"}, "kind is 'config map'; write one like ConfigMap"),
        ({**_config_map(), "apiVersion": "v 1"}, "apiVersion is 'v 1'; write one like v1 or apps/v1"),
        ({**_config_map(), "kind": "List"}, "80-x.a is a list of objects; write each of its items"),
        ({**_config_map(), "kind": "SecretList", "items": []}, "80-x.a is a list of objects; write each of its items"),
        ({**_config_map(), "spec": {"containers": [{"image": 5}]}}, r"spec.containers\[0\].image is 5; write the name"),
        ({**_config_map(), "data": {"a": f"x\n{KEY}"}}, "80-x.a: data.a holds a private key, which would stand in git"),
        ({**_config_map(), "spec": [{"b": ["AGE-SECRET-" + "KEY-1X"]}]}, "80-x.a: spec.0.b.0 holds a private key"),
        (
            {**_config_map(), "spec": json.loads("[" * 200 + "]" * 200)},
            "80-x.a is nested deeper than 100 levels",
        ),
        ({**_config_map(), "data": {KEY: "x"}}, "80-x.a: data: a key holds a private key"),
    ],
)
def test_each_fault_of_an_object_is_one_clear_error(member: dict[str, Any], message: str) -> None:
    with pytest.raises(RenderError, match=f"^small: addons: .*{message}"):
        _sets(a=member)


def test_empty_metadata_is_left_out_and_names_of_rbac_may_hold_colons() -> None:
    (found,) = _sets(
        a={**_config_map("system:a", labels=None, annotations=None, namespace=None), "kind": "ClusterRole"}
    )["80-x"]
    assert found["metadata"] == {"name": "system:a", "labels": {"slipway.io/set": "80-x"}}


def test_a_kind_whose_name_ends_in_list_is_no_list() -> None:
    assert _sets(a={**_config_map(), "kind": "AllowList"})
