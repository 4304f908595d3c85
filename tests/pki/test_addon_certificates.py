"""Certificates of addons: they belong to no host, name one Service, and give nobody a right in the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generator.pki.certificates import certificates
from generator.pki.listing import certificate_list
from generator.pki.renew import Choice, renew
from generator.pki.request import CLIENT_AUTH, SERVER_AUTH, Request
from generator.pki.request_material import RequestMaterial
from generator.render.objects import objects
from generator.spec.model import Cluster
from tests.pki.conftest import NOW, Workspace

METRICS = "addons/metrics-server"


def of_addons(cluster: Cluster) -> dict[str, Request]:
    return {one.name: one for one in certificates(cluster) if one.name.startswith("addons/")}


def test_metrics_server_serves_under_the_names_of_its_service(workspace: Workspace) -> None:
    found = of_addons(workspace.edit({"network": {"domain": "k8s.example.net"}}))
    assert set(found) == {METRICS}
    request = found[METRICS]
    assert (request.issuer, request.usages[1:], request.host, request.places) == ("ca", (SERVER_AUTH,), None, ())
    assert request.subject == (("CN", "metrics-server"),) and not request.ips
    assert request.dns == (
        "metrics-server",
        "metrics-server.kube-system",
        "metrics-server.kube-system.svc",
        "metrics-server.kube-system.svc.k8s.example.net",
    )


TYPHA: dict[str, Any] = {
    "network": {"plugin": "calico"},
    "addons": {"calico": {"typha": {"enabled": True}}},
    "pki": {"subject": {"organizationalUnit": "platform"}},
}


def test_typha_and_its_clients_have_names_that_no_binding_knows(workspace: Workspace) -> None:
    cluster = workspace.edit(TYPHA)
    found = of_addons(cluster)
    assert set(found) == {METRICS, "addons/typha", "addons/calico-node"}
    typha, client = found["addons/typha"], found["addons/calico-node"]
    assert typha.usages[1:] == (SERVER_AUTH,) and dict(typha.subject)["CN"] == "slipway:typha"
    assert "calico-typha.kube-system.svc.cluster.local" in typha.dns
    # To the API the client is a user of this name without any group.
    assert client.usages[1:] == (CLIENT_AUTH,) and client.subject == (("CN", "slipway:calico-node"),)
    assert not client.sans
    bound = {
        subject["name"]
        for members in objects(cluster, RequestMaterial(cluster), Path("nowhere")).values()
        for member in members
        for subject in member.get("subjects", ())
        if subject["kind"] == "User"
    }
    assert bound and not {"slipway:calico-node", "slipway:typha"} & bound


def test_a_renewal_of_one_kind_leaves_the_others(workspace: Workspace) -> None:
    cluster = workspace.edit(TYPHA)
    workspace.issue()
    before = workspace.files()
    choice = Choice(kinds=frozenset({"addons/typha"}))
    report = renew(cluster, workspace.dir, choice, clock=lambda: workspace.now, identity=workspace.identity)
    assert [(one.name, one.host) for one in report.renewed] == [("addons/typha", None)]
    changed = {path for path, content in workspace.files().items() if before[path] != content}
    assert changed == {"pki/addons/typha.crt", "pki/addons/typha.key.age"}


def test_the_leaf_comes_and_goes_with_its_addon(workspace: Workspace) -> None:
    workspace.edit({"addons": {"metricsServer": {"enabled": False}}})
    workspace.issue()
    assert not (workspace.dir / "pki" / "addons").exists()
    workspace.edit({})
    assert workspace.issue().made == (METRICS,)
    assert {path for path in workspace.files() if "addons" in path} == {f"pki/{METRICS}.crt", f"pki/{METRICS}.key.age"}
    workspace.edit({"addons": {"metricsServer": {"enabled": False}}})
    assert workspace.issue().removed == (METRICS,)
    assert not (workspace.dir / "pki" / "addons").exists()


def test_it_is_listed_before_the_leaves_of_hosts_and_lies_on_none(workspace: Workspace) -> None:
    workspace.issue()
    rows = certificate_list(workspace.cluster, workspace.store, NOW)
    assert [row.name for row in rows[:4]] == ["ca", "etcd/ca", "front-proxy-ca", METRICS]
    assert rows[3].places == () and rows[3].file == f"clusters/prod/pki/{METRICS}.crt"


def test_its_validity_is_set_by_its_name(workspace: Workspace) -> None:
    cluster = workspace.edit({"pki": {"validity": {"leaf": "90d", "leaves": {METRICS: "45d"}}}})
    assert of_addons(cluster)[METRICS].days == 45
