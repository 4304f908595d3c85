"""metrics-server: nothing on its ways is unverified, and its release and its size follow the cluster."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from generator.pki.request_material import RequestMaterial
from generator.render.objects import objects
from generator.spec.model import Cluster
from tests.render.small import small_cluster

SET = "40-metrics-server"


def of_kind(cluster: Cluster, kind: str) -> Any:
    (found,) = (one for one in objects(cluster, RequestMaterial(cluster), Path("nowhere"))[SET] if one["kind"] == kind)
    return found


def container(cluster: Cluster) -> Any:
    return of_kind(cluster, "Deployment")["spec"]["template"]["spec"]["containers"][0]


def of_minor(minor: int) -> Cluster:
    cluster = small_cluster()
    return replace(cluster, versions=replace(cluster.versions, kubernetes=f"1.{minor}.0"))


def test_no_way_is_unverified() -> None:
    cluster = small_cluster()
    text = str(objects(cluster, RequestMaterial(cluster), Path("nowhere"))[SET]).lower()
    assert "insecure" not in text and "skiptls" not in text
    bundle = of_kind(cluster, "APIService")["spec"]["caBundle"]
    assert base64.b64decode(bundle).decode() == RequestMaterial(cluster).certificate("ca")
    assert "--kubelet-certificate-authority=/etc/metrics-server/ca.crt" in container(cluster)["args"]
    assert of_kind(cluster, "Secret")["data"]["ca.crt"] == bundle


def test_the_service_is_named_as_the_certificate_and_the_api_call_it() -> None:
    cluster = small_cluster(rest="pki: {kubeProxyCertificate: false}")
    service, wanted = of_kind(cluster, "Service")["metadata"], of_kind(cluster, "APIService")["spec"]["service"]
    assert wanted == {"name": service["name"], "namespace": service["namespace"], "port": 443}
    # The API server calls it by <service>.<namespace>.svc.
    assert f"DNS:{service['name']}.{service['namespace']}.svc," in RequestMaterial(cluster).certificate(
        "addons/metrics-server"
    )


@pytest.mark.parametrize(
    ("minor", "release"),
    [(20, "v0.6.4"), (26, "v0.6.4"), (27, "v0.7.2"), (30, "v0.7.2"), (31, "v0.8.1"), (36, "v0.8.1")],
)
def test_the_release_follows_the_minor(minor: int, release: str) -> None:
    assert container(of_minor(minor))["image"] == f"registry.k8s.io/metrics-server/metrics-server:{release}"


@pytest.mark.parametrize(("workers", "memory"), [(1, "200Mi"), (98, "200Mi"), (99, "200Mi"), (100, "400Mi")])
def test_its_size_follows_the_nodes_in_hundreds(workers: int, memory: str) -> None:
    assert container(small_cluster(workers=workers))["resources"]["requests"]["memory"] == memory


def test_a_new_key_replaces_its_pods() -> None:
    cluster = small_cluster()
    annotations = of_kind(cluster, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    identifier = RequestMaterial(cluster).secret_id("pki/addons/metrics-server")
    assert annotations["slipway.io/key"] == identifier
    assert of_kind(cluster, "Secret")["metadata"]["annotations"]["slipway.io/secrets"].endswith(identifier)


def test_it_is_left_out_where_the_spec_says_so() -> None:
    cluster = small_cluster(rest="addons: {metricsServer: {enabled: false}}")
    assert SET not in objects(cluster, RequestMaterial(cluster), Path("nowhere"))
