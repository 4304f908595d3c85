"""The API side of fleet against a real API server (Kubernetes 1.20.2) on loopback: rights, objects, tokens, nodes."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import ipaddress
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from fleet import tokens
from fleet.channel import Channel
from fleet.cluster_client import OperatorApi
from fleet.csr import approve_listed, decisions
from fleet.drain import cordon, drain, uncordon
from fleet.endpoints import ssh_endpoint
from fleet.kube import Api, Ref
from fleet.kubeconfig import kubeconfig, write_private
from fleet.node_settings import MANAGED
from fleet.object_sets import SET_LABEL
from fleet.objects import delete_orphans
from fleet.plan import ObjectChange
from fleet.tls import Credential, client_context
from fleet.tree import Host, Phase, Pool, RenderedTree, Ssh
from generator.errors import ApiError
from generator.pki.keys import new_key
from generator.pki.request_material import RequestMaterial
from generator.render.objects import object_files, objects
from generator.spec.model import Cluster
from tests.components.sample import sample_cluster
from tests.lab.cluster_under_test import forged_requests
from tests.lab.loopback_api import CLUSTER, LoopbackApi, connect, running

pytestmark = pytest.mark.lab

RBAC = "rbac.authorization.k8s.io/v1"
JOIN = {"server": "https://127.0.0.1:8443", "ca": "/etc/kubernetes/pki/ca.crt", "kubeconfig": "/run/slipway/x"}


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackApi]:
    with running(tmp_path_factory.mktemp("loop")) as made:
        yield made


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return sample_cluster("1.20")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Path:
    root = tmp_path_factory.mktemp("rendered") / CLUSTER
    for path, content in object_files(objects(cluster, RequestMaterial(cluster), root)):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def tree_of(rendered: Path, cluster: Cluster, port: int, sets: tuple[str, ...] = ("00-cluster-rbac",)) -> RenderedTree:
    pool = Pool("workers", frozenset({"worker"}), (), "debian-12", "arm64", "1", {"app": "jenkins"}, ())
    hosts = {
        host.name: Host(host.name, pool, host.address, host.node_name, "", {"disk": "ssd"}, Ssh(), ())
        for host in cluster.nodes
    }
    phases = (Phase("cluster-rbac", objects=sets), Phase("nodes", join=JOIN))
    control = ({"host": "cp1", "address": "127.0.0.1", "port": port},)
    return RenderedTree(rendered, CLUSTER, {}, "push", hosts, {"workers": pool}, phases, control, {}, "")


@asynccontextmanager
async def operator(loop: LoopbackApi, tree: RenderedTree, given: Path | None = None) -> AsyncIterator[OperatorApi]:
    client = OperatorApi(tree, connect, loop.signer, given)
    try:
        yield client
    finally:
        await client.close()


async def applied(client: OperatorApi, sets: list[str]) -> tuple[ObjectChange, ...]:
    """Apply sets as a run does whose gates are open afterwards."""
    done = await client.apply_objects(sets)
    await client.objects_settled(sets)
    return done


def as_user(loop: LoopbackApi, credential: Credential | None, token: str = "") -> Api:
    context = client_context(loop.signer.ca, credential)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return Api(
        Channel(CLUSTER, [ssh_endpoint(connect, "cp1", "127.0.0.1", loop.port)], lambda: context, headers=headers)
    )


Run = Callable[[Callable[[OperatorApi], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def run(loop: LoopbackApi, rendered: Path, cluster: Cluster) -> Run:
    """Runs a coroutine with the API of an operator, the sets of the sample cluster applied."""

    def runner(action: Callable[[OperatorApi], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            async with operator(loop, tree_of(rendered, cluster, loop.port)) as client:
                await applied(client, ["00-cluster-rbac"])
                await action(client)

        asyncio.run(main())

    return runner


def test_a_new_cluster_gets_its_binding_and_then_needs_no_masters(
    loop: LoopbackApi, rendered: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed: list[str] = []
    sign = loop.signer.certificate
    monkeypatch.setattr(
        loop.signer, "certificate", lambda group, *rest: (signed.append(group), sign(group, *rest))[1]
    )  # fmt: skip
    monkeypatch.setattr(loop.signer, "_contexts", {})

    async def main() -> None:
        tree = tree_of(rendered, cluster, loop.port)
        async with operator(loop, tree) as client:
            planned = await client.object_changes(["00-cluster-rbac"])
            assert planned and {change.action for change in planned} == {"create"}
            assert "system:masters" not in signed
            await applied(client, ["00-cluster-rbac"])
            assert signed.count("system:masters") == 1
            assert await client.unaccepted(["00-cluster-rbac"]) == ()
        signed.clear()
        loop.signer._contexts.clear()
        async with operator(loop, tree) as client:
            before = await client.api.list(RBAC, "ClusterRoleBinding", labels=SET_LABEL)
            assert await client.object_changes(["00-cluster-rbac"]) == ()
            assert await applied(client, ["00-cluster-rbac"]) == ()
            after = await client.api.list(RBAC, "ClusterRoleBinding", labels=SET_LABEL)
            assert [one["metadata"]["resourceVersion"] for one in before] == [
                one["metadata"]["resourceVersion"] for one in after
            ]
        assert signed == ["slipway:admins"]

    asyncio.run(main())


def test_what_somebody_changed_is_seen_and_taken_back(run: Run) -> None:
    ref = Ref("v1", "ConfigMap", "kube-system", "slipway-nodes")

    async def action(client: OperatorApi) -> None:
        await client.api.merge_patch(ref, {"data": {"w1": "forged"}})
        # Changed by another manager: ownership has moved, and still the object is Slipway's.
        other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": ref.name}, "data": {"w1": "edited"}}
        path = "/api/v1/namespaces/kube-system/configmaps/slipway-nodes"
        await client.api.call("PATCH", path, "x", query={"fieldManager": "edit"}, body={"data": other["data"]},
                              content_type="application/merge-patch+json")  # fmt: skip
        changes = await client.object_changes(["00-cluster-rbac"])
        assert [(change.name, change.action) for change in changes] == [(str(ref), "change")]
        assert any(line.startswith("-") and "edited" in line for line in changes[0].diff)
        assert await client.unaccepted(["00-cluster-rbac"]) == (f"{ref} is not as rendered",)
        assert len(await applied(client, ["00-cluster-rbac"])) == 1
        assert await client.object_changes(["00-cluster-rbac"]) == ()

    run(action)


def write_set(root: Path, name: str, members: list[dict[str, Any]]) -> None:
    for member in members:
        member.setdefault("metadata", {}).setdefault("labels", {})[SET_LABEL] = name
    for path, content in object_files({name: tuple(members)}):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def configmap(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


def test_what_left_a_set_is_deleted_and_what_is_of_others_is_kept(
    run: Run, loop: LoopbackApi, cluster: Cluster, tmp_path: Path
) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "gone", "namespace": "default"}}
    space: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kept"}}

    async def action(client: OperatorApi) -> None:
        tree = tree_of(tmp_path, cluster, loop.port, ("50-more",))
        write_set(tmp_path, "50-more", [configmap("one", a="1"), configmap("two", a="1"), account, space])
        async with operator(loop, tree) as more:
            # rbac stands in another tree: its set must not count as left over here.
            more.rendered.all_sets = ("00-cluster-rbac", "50-more")  # type: ignore[misc]
            assert {change.action for change in await applied(more, ["50-more"])} == {"create"}
            await client.api.apply(configmap("foreign", a="1"))
            write_set(tmp_path, "50-more", [configmap("one", a="2")])
            planned = await more.object_changes(["50-more"])
            assert sorted((change.name, change.action) for change in planned) == [
                ("ConfigMap default/one", "change"),
                ("ConfigMap default/two", "delete"),
                ("Namespace kept", "note"),
                ("ServiceAccount default/gone", "delete"),
            ]
            await applied(more, ["50-more"])
            assert [change.action for change in await more.object_changes(["50-more"])] == ["note"]
            assert await more.api.find(Ref("v1", "ConfigMap", "default", "foreign")) is not None
        # The whole set leaves the tree.
        done = await delete_orphans(client.api, ("00-cluster-rbac",))
        assert [(str(change.ref), change.action) for change in done] == [
            ("ConfigMap default/one", "delete"),
            ("Namespace kept", "note"),
        ]
        await client.api.delete(Ref("v1", "Namespace", "", "kept"))
        for _ in range(100):
            if await client.api.find(Ref("v1", "Namespace", "", "kept")) is None:
                break
            await asyncio.sleep(0.2)

    run(action)


def test_an_object_of_somebody_else_is_not_overwritten(
    run: Run, loop: LoopbackApi, cluster: Cluster, tmp_path: Path
) -> None:
    async def action(client: OperatorApi) -> None:
        path = "/api/v1/namespaces/default/configmaps"
        await client.api.call("POST", path, "x", query={"fieldManager": "helm"}, body=configmap("theirs", a="1"))
        write_set(tmp_path, "60-clash", [configmap("theirs", a="2")])
        async with operator(loop, tree_of(tmp_path, cluster, loop.port, ("60-clash", "x"))) as more:
            planned = await more.object_changes(["60-clash"])
            assert [change.action for change in planned] == ["refused"]
            with pytest.raises(ApiError, match="exists, is not Slipway's and has other values") as caught:
                await applied(more, ["60-clash"])
            assert "helm" in str(caught.value)

    run(action)


def test_a_binding_whose_role_changed_is_made_anew(
    run: Run, loop: LoopbackApi, cluster: Cluster, tmp_path: Path
) -> None:
    def binding(role: str) -> dict[str, Any]:
        group = "rbac.authorization.k8s.io"
        return {
            "apiVersion": RBAC,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "auditors"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": group, "kind": "Group", "name": "auditors"}],
        }

    async def action(client: OperatorApi) -> None:
        async with operator(loop, tree_of(tmp_path, cluster, loop.port, ("70-audit", "x"))) as more:
            write_set(tmp_path, "70-audit", [binding("view")])
            await applied(more, ["70-audit"])
            write_set(tmp_path, "70-audit", [binding("edit")])
            assert [change.action for change in await more.object_changes(["70-audit"])] == ["change"]
            await applied(more, ["70-audit"])
            assert await more.object_changes(["70-audit"]) == ()

    run(action)


async def allowed(api: Api) -> bool:
    """Whether the role `view` has its rules."""
    try:
        await api.find(Ref("v1", "ConfigMap", "kube-system", "slipway-nodes"))
    except ApiError:
        return False
    return True


def test_a_reader_sees_differences_and_changes_nothing(
    run: Run, loop: LoopbackApi, rendered: Path, cluster: Cluster, tmp_path: Path
) -> None:
    async def action(client: OperatorApi) -> None:
        path = tmp_path / "reader.kubeconfig"
        write_private(path, kubeconfig(loop.signer, f"https://127.0.0.1:{loop.port}", read_only=True), rendered)
        assert path.stat().st_mode & 0o777 == 0o600
        async with operator(loop, tree_of(rendered, cluster, loop.port), path) as reader:
            for _ in range(60):  # the controller manager puts the role `view` together
                if await allowed(reader.api):
                    break
                await asyncio.sleep(0.5)
            assert await reader.object_changes(["00-cluster-rbac"]) == ()
            assert await reader.node_changes([]) == ()
            await client.api.merge_patch(Ref("v1", "ConfigMap", "kube-system", "slipway-nodes"), {"data": {"w1": "x"}})
            assert [change.action for change in await reader.object_changes(["00-cluster-rbac"])] == ["change"]
            with pytest.raises(ApiError) as caught:
                await applied(reader, ["00-cluster-rbac"])
            assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
            with pytest.raises(ApiError):
                await reader.api.list("v1", "Secret", "kube-system")

    run(action)


def test_a_token_joins_and_does_nothing_else(run: Run, loop: LoopbackApi) -> None:
    async def action(client: OperatorApi) -> None:
        text = await client.bootstrap_kubeconfig(Phase("nodes", join=JOIN), ["w1"])
        document = yaml.safe_load(text)
        token = document["users"][0]["user"]["token"]
        host = as_user(loop, None, token)
        secrets = await client.api.list("v1", "Secret", "kube-system", labels=tokens.LABEL)
        assert [secret["type"] for secret in secrets] == [tokens.TYPE]
        data = {key: base64.b64decode(value).decode() for key, value in secrets[0]["data"].items()}
        assert "usage-bootstrap-signing" not in data and data["description"] == "slipway: join of w1"
        request = request_pem("w1", new_key("ecdsa-p256"))
        made = await host.call("POST", CSRS, "x", body=csr_object(request, CLIENT, CLIENT_USAGES))
        assert "system:bootstrappers:slipway" in made["spec"]["groups"]
        for _ in range(100):  # the controller manager approves and signs it
            found = await client.api.get(
                Ref("certificates.k8s.io/v1", "CertificateSigningRequest", "", made["metadata"]["name"])
            )
            if found["status"].get("certificate"):
                break
            await asyncio.sleep(0.1)
        assert found["status"]["certificate"]
        with pytest.raises(ApiError) as caught:
            await host.list("v1", "Node")
        assert caught.value.status == 403
        await client.end_bootstrap()
        assert await client.api.list("v1", "Secret", "kube-system", labels=tokens.LABEL) == []
        for _ in range(50):
            answer = await host.raw("GET", "/api/v1/nodes")
            if answer.status == 401:
                break
            await asyncio.sleep(0.2)
        assert answer.status == 401
        await host.close()

    run(action)


CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING = "kubernetes.io/kubelet-serving"
CLIENT_USAGES = ("digital signature", "key encipherment", "client auth")
SERVING_USAGES = ("digital signature", "key encipherment", "server auth")


def request_pem(node: str, key: Any, *names: x509.GeneralName) -> bytes:
    attributes = [
        x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "system:nodes", _PRINTABLE),
        x509.NameAttribute(x509.NameOID.COMMON_NAME, f"system:node:{node}", _PRINTABLE),
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.RelativeDistinguishedName([attribute]) for attribute in attributes])
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


_PRINTABLE = x509.name._ASN1Type.PrintableString


def csr_object(pem: bytes, signer: str, usages: tuple[str, ...]) -> dict[str, Any]:
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"generateName": "csr-"},
        "spec": {"request": base64.b64encode(pem).decode(), "signerName": signer, "usages": list(usages)},
    }


def test_a_listed_serving_request_is_approved_and_signed_and_a_forged_one_is_not(
    run: Run, loop: LoopbackApi, cluster: Cluster, rendered: Path
) -> None:
    node = next(host for host in cluster.nodes if host.name == "w1")
    listed = yaml.safe_load(
        (rendered / "objects/00-cluster-rbac/ConfigMap-kube-system-slipway-nodes.yaml").read_text()
    )["data"]

    async def action(client: OperatorApi) -> None:
        certificate, key = loop.leaf("node", (("O", "system:nodes"), ("CN", f"system:node:{node.node_name}")))
        kubelet = as_user(loop, Credential(certificate, key))
        own = (x509.DNSName(node.node_name), x509.IPAddress(ipaddress.ip_address(node.address)))
        foreign = (*own, x509.IPAddress(ipaddress.ip_address("10.9.9.9")))
        names = {}
        sent: set[str] = set()
        for what, pem in forged_requests(node.node_name, node.address).items():
            value = csr_object(pem, SERVING, SERVING_USAGES)
            value["metadata"] = {"name": f"csr-{what}"}
            try:
                await kubelet.call("POST", CSRS, what, body=value)
                sent.add(f"csr-{what}")
            except ApiError as error:
                # An API server that a newer Go has compiled refuses this one by itself.
                assert (error.status, what) == (422, "secondextension")
        for label, sans in (("good", own), ("bad", foreign)):
            pem = request_pem(node.node_name, new_key("ecdsa-p256"), *sans)
            made = await kubelet.call("POST", CSRS, "x", body=csr_object(pem, SERVING, SERVING_USAGES))
            names[label] = made["metadata"]["name"]
        await kubelet.close()
        waiting = {decision.name: decision.refusal for decision in await decisions(client.api, listed)}
        assert waiting[names["good"]] == "" and "not those of node" in waiting[names["bad"]]
        await approve_listed(client.api, listed)
        left = {decision.name for decision in await client.pending_requests()}
        assert names["bad"] in left and names["good"] not in left
        assert len(sent) >= 5 and sent <= left
        ref = Ref("certificates.k8s.io/v1", "CertificateSigningRequest", "", names["good"])
        for _ in range(100):
            found = await client.api.get(ref)
            if found["status"].get("certificate"):
                break
            await asyncio.sleep(0.1)
        issued = x509.load_pem_x509_certificate(base64.b64decode(found["status"]["certificate"]))
        assert "system:node:w1" in issued.subject.rfc4514_string()
        for name in (*left, names["good"]):
            await client.api.delete(Ref(ref.api_version, ref.kind, "", name))

    run(action)


def node_object(name: str) -> dict[str, Any]:
    taints = [{"key": "theirs", "effect": "NoSchedule"}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"own": "theirs"}},
        "spec": {"taints": taints},
    }


def test_labels_and_taints_are_kept_and_those_of_others_left_alone(
    run: Run, loop: LoopbackApi, rendered: Path, cluster: Cluster
) -> None:
    async def action(client: OperatorApi) -> None:
        for name in ("w1", "stranger"):
            await client.api.call("POST", "/api/v1/nodes", "x", body=node_object(name))
        planned = await client.node_changes(["w1"])
        assert [(change.name, change.action) for change in planned] == [
            ("Node w1", "change"),
            ("Node stranger", "foreign"),
        ]
        assert planned[0].diff == ("+label app=jenkins", "+label disk=ssd")
        await client.settle_nodes(["w1"])
        assert await client.settle_nodes(["w1"]) == ()
        tree = tree_of(rendered, cluster, loop.port)
        host = tree.hosts["w1"]
        pool = dataclasses.replace(
            host.pool, labels={"app": "ci"}, taints=({"key": "app", "value": "ci", "effect": "NoExecute"},)
        )
        changed = dataclasses.replace(tree, hosts={**tree.hosts, "w1": dataclasses.replace(host, pool=pool, labels={})})
        async with operator(loop, changed) as other:
            assert (await other.settle_nodes(["w1"]))[0].diff == (
                "-label app=jenkins", "+label app=ci", "-label disk=ssd", "+taint app=ci:NoExecute",
            )  # fmt: skip
            assert await other.settle_nodes(["w1"]) == ()
        live = await client.api.get(Ref("v1", "Node", "", "w1"))
        assert live["metadata"]["labels"]["own"] == "theirs" and "disk" not in live["metadata"]["labels"]
        assert {"theirs", "app"} <= {taint["key"] for taint in live["spec"]["taints"]}
        assert json.loads(live["metadata"]["annotations"][MANAGED]) == {"labels": ["app"], "taints": ["app:NoExecute"]}
        assert await client.ready_nodes() == {"w1": False, "stranger": False}
        for name in ("w1", "stranger"):
            await client.api.delete(Ref("v1", "Node", "", name))

    run(action)


def pod(name: str, owner: str = "") -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "default", "labels": {"app": name}}
    if owner:
        metadata["ownerReferences"] = [
            {
                "apiVersion": "apps/v1",
                "kind": owner,
                "name": "x",
                "uid": "00000000-0000-0000-0000-000000000001",
                "controller": True,
            }
        ]
    spec = {"nodeName": "d1", "terminationGracePeriodSeconds": 0, "serviceAccountName": "default",
            "containers": [{"name": "c", "image": "pause"}]}  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def test_a_drain_evicts_holds_to_budgets_and_spares_daemons(run: Run) -> None:
    async def action(client: OperatorApi) -> None:
        api = client.api
        await api.call("POST", "/api/v1/nodes", "x", body={**node_object("d1"), "spec": {}})
        for _ in range(100):  # the service account controller needs a moment
            if ((await api.find(Ref("v1", "ServiceAccount", "default", "default"))) or {}).get("secrets"):
                break
            await asyncio.sleep(0.1)

        async def create(value: dict[str, Any]) -> None:
            await api.call("POST", "/api/v1/namespaces/default/pods", "x", body=value)

        await create(pod("alone"))
        with pytest.raises(ApiError, match="pods without a controller would be lost: default/alone"):
            await drain(api, "d1", seconds=1)
        assert not (await api.get(Ref("v1", "Node", "", "d1")))["spec"].get("unschedulable")
        await api.delete(Ref("v1", "Pod", "default", "alone"))
        await create(pod("web", "ReplicaSet"))
        await create(pod("daemon", "DaemonSet"))
        # A budget protects only pods that have begun.
        await api.merge_patch(Ref("v1", "Pod", "default", "web"), {"status": {"phase": "Running"}}, "status")
        budget = {
            "apiVersion": "policy/v1beta1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        }
        await api.apply(budget)
        with pytest.raises(ApiError, match=r"still there: default/web \(its disruption budget"):
            await drain(api, "d1", seconds=1)
        await api.delete(Ref("policy/v1beta1", "PodDisruptionBudget", "default", "web"))
        await drain(api, "d1", seconds=20)
        assert await api.find(Ref("v1", "Pod", "default", "web")) is None
        assert await api.find(Ref("v1", "Pod", "default", "daemon")) is not None
        assert (await api.get(Ref("v1", "Node", "", "d1")))["spec"]["unschedulable"] is True
        await uncordon(api, "d1")
        assert not (await api.get(Ref("v1", "Node", "", "d1")))["spec"].get("unschedulable")
        await api.merge_patch(Ref("v1", "Node", "", "d1"), {"spec": {"unschedulable": True}})
        await cordon(api, "d1")
        await uncordon(api, "d1")  # somebody else's cordon stays
        assert (await api.get(Ref("v1", "Node", "", "d1")))["spec"]["unschedulable"] is True
        await api.delete(Ref("v1", "Pod", "default", "daemon"))
        await api.delete(Ref("v1", "Node", "", "d1"))

    run(action)


def test_lists_come_in_pages(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.kube.PAGE", 3)

    async def action(client: OperatorApi) -> None:
        found = await client.api.list(RBAC, "ClusterRole")
        assert len(found) > 20
        assert len({one["metadata"]["name"] for one in found}) == len(found)

    run(action)


def test_refusals_carry_status_and_words(run: Run) -> None:
    async def action(client: OperatorApi) -> None:
        with pytest.raises(ApiError) as caught:
            await client.api.get(Ref("v1", "ConfigMap", "default", "none"))
        assert (caught.value.status, caught.value.reason) == (404, "NotFound")
        with pytest.raises(ApiError, match="does not serve kind Ship in v1") as caught:
            await client.api.get(Ref("v1", "Ship", "default", "none"))
        with pytest.raises(ApiError, match="loop: kube-apiserver: apply ConfigMap default/x") as caught:
            await client.api.apply({**configmap("x"), "data": {"a": {"b": 1}}})
        assert caught.value.status in (400, 422, 500)

    run(action)
