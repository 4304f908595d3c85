"""API objects: what the sets hold, in which order, and that nobody may do more than the design says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from generator.errors import RenderError
from generator.formats.kind_order import KIND_ORDER
from generator.pki.request_material import RequestMaterial
from generator.render.objects import SET_LABEL, Objects, object_files, objects
from generator.spec.model import Cluster
from tests.render.small import small_cluster

RBAC = "00-cluster-rbac"


def _objects(cluster: Cluster, root: Path = Path("nowhere")) -> Objects:
    return objects(cluster, RequestMaterial(cluster), root)


def _by_name(sets: Objects, kind: str) -> dict[str, Any]:
    return {member["metadata"]["name"]: member for member in sets[RBAC] if member["kind"] == kind}


def _own(root: Path, text: str) -> Path:
    (root / "clusters" / "small").mkdir(parents=True)
    (root / "clusters" / "small" / "addons.jsonnet").write_text(text)
    return root


def test_bindings_are_exactly_those_of_the_design() -> None:
    sets = _objects(small_cluster())
    bound = {
        (subject["kind"], subject["name"], binding["roleRef"]["name"])
        for member in sets[RBAC]
        if member["kind"].endswith("Binding")
        for binding in [member]
        for subject in binding["subjects"]
    }
    approval = "system:certificates.k8s.io:certificatesigningrequests"
    assert bound == {
        ("Group", "system:bootstrappers:slipway", "system:node-bootstrapper"),
        ("Group", "system:bootstrappers:slipway", f"{approval}:nodeclient"),
        ("Group", "system:nodes", f"{approval}:selfnodeclient"),
        ("Group", "system:nodes", "system:node-proxier"),
        ("User", "kube-apiserver-kubelet-client", "system:kubelet-api-admin"),
        ("Group", "slipway:admins", "cluster-admin"),
        ("Group", "slipway:readers", "view"),
        ("Group", "slipway:readers", "slipway:cluster-reader"),
        ("User", "slipway:csr-approver", "slipway:csr-approver"),
    }


def test_the_csr_approver_may_do_nothing_else() -> None:
    sets = _objects(small_cluster())
    assert _by_name(sets, "ClusterRole")["slipway:csr-approver"]["rules"] == [
        {"apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests"], "verbs": ["get", "list"]},
        {
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["certificatesigningrequests/approval"],
            "verbs": ["update"],
        },
        {
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["signers"],
            "resourceNames": ["kubernetes.io/kubelet-serving"],
            "verbs": ["approve"],
        },
    ]
    assert _by_name(sets, "Role")["slipway:csr-approver"]["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["slipway-nodes"], "verbs": ["get"]}
    ]


def test_readers_read_and_see_no_secret() -> None:
    for rule in _by_name(_objects(small_cluster()), "ClusterRole")["slipway:cluster-reader"]["rules"]:
        assert set(rule["verbs"]) <= {"get", "list", "watch"}
        assert not {"secrets", "*"} & set(rule["resources"])


def test_the_node_list_has_one_line_for_each_node() -> None:
    lines = _by_name(_objects(small_cluster(workers=3)), "ConfigMap")["slipway-nodes"]["data"]
    more = _by_name(_objects(small_cluster(workers=4)), "ConfigMap")["slipway-nodes"]["data"]
    assert set(lines) == {"cp1", "worker-01", "worker-02", "worker-03"}
    assert set(more) - set(lines) == {"worker-04"}
    assert lines == {name: line for name, line in more.items() if name in lines}
    assert all("\n" not in line for line in more.values())


def test_open_paths_are_granted_to_everyone_and_only_where_the_spec_opens_them() -> None:
    assert "slipway:anonymous-reader" not in _by_name(_objects(small_cluster()), "ClusterRole")
    opened = small_cluster(rest="api: {anonymousPaths: [/livez]}")
    role = _by_name(_objects(opened), "ClusterRole")["slipway:anonymous-reader"]
    assert role["rules"] == [{"nonResourceURLs": ["/livez"], "verbs": ["get"]}]


RUNTIMES = "20-runtime-classes"


def test_gpus_behind_a_runtime_that_is_not_the_default_have_a_class_for_pods_to_name() -> None:
    assert RUNTIMES not in _objects(small_cluster())
    assert RUNTIMES not in _objects(small_cluster(pool=", gpu: {vendor: nvidia, defaultRuntime: true}"))
    (found,) = _objects(small_cluster(pool=", gpu: {vendor: nvidia}"))[RUNTIMES]
    assert (found["kind"], found["metadata"]["name"], found["handler"]) == ("RuntimeClass", "nvidia", "nvidia")
    assert found["scheduling"] == {
        "nodeSelector": {"nvidia.com/gpu": "true"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    }
    (free,) = _objects(small_cluster(pool=", gpu: {vendor: nvidia, taint: false}"))[RUNTIMES]
    assert free["scheduling"] == {"nodeSelector": {"nvidia.com/gpu": "true"}}


def test_files_are_one_object_each_labelled_and_indexed_in_the_order_of_kinds() -> None:
    sets = _objects(small_cluster())
    files = {path: text for path, text in object_files(sets) if path.startswith(f"objects/{RBAC}/")}
    index = yaml.safe_load(files[f"objects/{RBAC}/index.yaml"])["objects"]
    kinds = [KIND_ORDER.index(entry["kind"]) for entry in index]
    assert kinds == sorted(kinds)
    assert {f"objects/{RBAC}/{entry['file']}" for entry in index} | {f"objects/{RBAC}/index.yaml"} == set(files)
    for entry in index:
        found = yaml.safe_load(files[f"objects/{RBAC}/{entry['file']}"])
        assert (found["kind"], found["metadata"]["name"]) == (entry["kind"], entry["name"])
        assert found["metadata"]["labels"] == {SET_LABEL: RBAC}
        assert ":" not in entry["file"]


@pytest.mark.parametrize("minor", ["1.25", "1.36"])
def test_objects_fit_the_schemas_of_the_api(minor: str) -> None:
    pool = ", gpu: {vendor: nvidia}"
    for members in _objects(small_cluster(pool=pool, rest="api: {anonymousPaths: [/livez]}")).values():
        for member in members:
            kubernetes_validate.validate(member, minor, strict=True)


@pytest.mark.parametrize(
    "text",
    [
        "{ values+:: { clusterRbac+: { readers: ['auditors'] } } }",
        "function(cluster) { values+:: { clusterRbac+: { readers: ['auditors'] } } }",
    ],
)
def test_the_users_own_jsonnet_is_added(tmp_path: Path, text: str) -> None:
    sets = _objects(small_cluster(), _own(tmp_path, text))
    assert _by_name(sets, "ClusterRoleBinding")["slipway:readers"]["subjects"][0]["name"] == "auditors"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{ nonsense", "jsonnet does not evaluate"),
        ("{ broken: {} }", "'broken' is no name of a set"),
        ("{ '20-x': { a: 1 } }", "20-x.a is no API object"),
        ("{ '20-x': [] }", "set 20-x is no map"),
        (
            "{ '20-x': { a: { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' }, stringData: { b: 'c' } } } }",
            "20-x.a is a Secret with its values, which would stand in git as plain text: stringData; write",
        ),
        ("{ '20-x': { a: { apiVersion: 'v1', kind: 'Pod', metadata: {} } } }", "20-x.a is no API object"),
        (
            "{ '20-x': $['00-cluster-rbac'] }",
            "ClusterRole-slipway_cluster-reader is in the sets 00-cluster-rbac and 20-x",
        ),
        (
            "{ '20-x': { [n]: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' } } for n in ['a', 'b'] } }",
            "set 20-x has Pod-p twice",
        ),
    ],
)
def test_jsonnet_that_gives_no_objects_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RenderError, match=f"^small: addons: .*{message}"):
        _objects(small_cluster(), _own(tmp_path, text))
