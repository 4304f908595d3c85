"""Sets of objects against an API: changes, prunes in order, refusals in words, kinds that are written whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from fleet import objects
from fleet.kube import Api, Ref
from fleet.object_record import RECORD, read_record
from fleet.object_sets import SET_LABEL, ObjectSet
from generator.errors import ApiError
from tests.fleet.api_stand_in import Reply, Seen
from tests.fleet.object_store import ObjectStore, Run, refusal

APIREG = "apiregistration.k8s.io/v1"


def value(kind: str, name: str, namespace: str = "", version: str = "v1", **more: Any) -> dict[str, Any]:
    spaced = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **spaced}, **more}


def set_of(name: str, *members: dict[str, Any]) -> ObjectSet:
    labelled = [{**one, "metadata": {**one["metadata"], "labels": {SET_LABEL: name}}} for one in members]
    return ObjectSet(name, tuple(labelled))


ROLE = value("ClusterRole", "a", version="rbac.authorization.k8s.io/v1", rules=[])
ACCOUNT = value("ServiceAccount", "a", "x")
CONFIG = value("ConfigMap", "a", "x", data={"k": "1"})
DEPLOYMENT = value("Deployment", "a", "x", "apps/v1", spec={"replicas": 1})
SPACE = value("Namespace", "x")


def actions(changes: tuple[objects.Difference, ...]) -> list[tuple[str, str]]:
    return [(change.action, str(change.ref)) for change in changes]


def test_what_left_is_deleted_in_the_reverse_order_and_namespaces_are_kept(run: Run, store: ObjectStore) -> None:
    async def action(api: Api) -> None:
        await objects.apply_set(api, set_of("30-a", SPACE, ACCOUNT, ROLE, CONFIG, DEPLOYMENT))
        assert await objects.apply_set(api, set_of("30-a", SPACE, ACCOUNT, ROLE, CONFIG, DEPLOYMENT)) == ()
        store.asked.clear()
        changes = await objects.apply_set(api, set_of("30-a", value("ConfigMap", "b", "y")))
        assert actions(changes) == [
            ("create", "ConfigMap y/b"),
            ("delete", "Deployment x/a"),
            ("delete", "ConfigMap x/a"),
            ("delete", "ClusterRole a"),
            ("delete", "ServiceAccount x/a"),
            ("note", "Namespace x"),
        ]
        deleted = [one for one in store.asked if one.startswith("DELETE")]
        assert deleted == [
            "DELETE Deployment x/a", "DELETE ConfigMap x/a", "DELETE ClusterRole a", "DELETE ServiceAccount x/a",
        ]  # fmt: skip
        assert (await read_record(api)).of("30-a") == {("", "ConfigMap"), ("", "Namespace")}

    run(action)


def test_sets_that_left_are_deleted_last_set_first(run: Run, store: ObjectStore) -> None:
    async def action(api: Api) -> None:
        await objects.apply_set(api, set_of("30-a", ROLE, CONFIG))
        await objects.apply_set(api, set_of("40-b", DEPLOYMENT, ACCOUNT))
        assert await objects.orphan_differences(api, ("30-a", "40-b")) == ()
        assert actions(await objects.delete_orphans(api, ())) == [
            ("delete", "Deployment x/a"),
            ("delete", "ServiceAccount x/a"),
            ("delete", "ConfigMap x/a"),
            ("delete", "ClusterRole a"),
        ]
        assert (await read_record(api)).kinds == {}
        assert [ref for ref in store.objects if ref != RECORD] == []

    run(action)


def test_what_moved_to_another_set_is_not_deleted(run: Run, store: ObjectStore) -> None:
    async def action(api: Api) -> None:
        await objects.apply_set(api, set_of("30-a", CONFIG, DEPLOYMENT))
        moved = set_of("40-b", DEPLOYMENT)
        assert actions(await objects.differences(api, set_of("30-a", CONFIG))) == [("delete", "Deployment x/a")]
        assert await objects.apply_set(api, set_of("30-a", CONFIG), moved.refs) == ()
        assert actions(await objects.apply_set(api, moved)) == [("change", "Deployment x/a")]
        assert await objects.apply_set(api, set_of("30-a", CONFIG)) == ()
        assert "DELETE Deployment x/a" not in store.asked

    run(action)


def test_a_set_that_changed_is_unfinished_until_its_gates_are_passed(run: Run) -> None:
    async def action(api: Api) -> None:
        await objects.apply_set(api, set_of("30-a", CONFIG))
        assert (await read_record(api)).unfinished == {"30-a"}
        await objects.apply_set(api, set_of("30-a", CONFIG))
        assert (await read_record(api)).unfinished == {"30-a"}, "a run that changes nothing has seen nothing run"

    run(action)


def refusing(what: str, reply: Reply) -> Callable[[Seen], Reply | None]:
    return lambda seen: reply if seen.method == "PATCH" and what in seen.target else None


@pytest.mark.parametrize(
    ("status", "said", "todo"),
    [
        (403, 'configmaps "a" is forbidden: exceeded quota: q, requested: configmaps=1', "raise the ResourceQuota"),
        (
            403,
            'configmaps "a" is forbidden: unable to create new content in namespace x because it is being terminated',
            "wait until the namespace has gone",
        ),
        (400, 'admission webhook "w.example.com" denied the request: no', "or change the policy behind that webhook"),
        (500, 'Internal error occurred: failed calling webhook "w.example.com": EOF', "bring up the pods behind"),
        (404, 'namespaces "x" not found', "render its Namespace in this set or one before it"),
        (422, "spec.selector: Invalid value: field is immutable", "delete the object by hand"),
        (
            403,
            'user "u" (groups=["g"]) is attempting to grant RBAC permissions not currently held: {}',
            "use credentials of group slipway:admins",
        ),
    ],
)
def test_a_refusal_is_told_with_what_to_do_and_does_not_hide_the_others(
    run: Run, store: ObjectStore, status: int, said: str, todo: str
) -> None:
    async def action(api: Api) -> None:
        await objects.apply_set(api, set_of("30-a", CONFIG, DEPLOYMENT))
        store.refuse = refusing("configmaps/a", refusal(status, said))
        changed = set_of("30-a", {**CONFIG, "data": {"k": "2"}}, {**DEPLOYMENT, "spec": {"replicas": 2}})
        planned = await objects.differences(api, changed)
        assert actions(planned) == [("refused", "ConfigMap x/a"), ("change", "Deployment x/a")]
        assert said.rstrip(".") in planned[0].diff[0] and todo in planned[0].diff[0]
        store.asked.clear()
        with pytest.raises(ApiError, match="apply ConfigMap x/a") as caught:
            await objects.apply_set(api, changed)
        assert todo in str(caught.value) and caught.value.status == status
        assert store.asked == [], "an apply begins nothing that it knows to be refused"
        with pytest.raises(ApiError):
            await objects.unaccepted(api, changed)

    run(action)


def test_credentials_that_may_only_read_still_compare(run: Run, store: ObjectStore) -> None:
    async def action(api: Api) -> None:
        await objects.apply_set(api, set_of("30-a", CONFIG))
        said = 'configmaps "a" is forbidden: User "slipway:ci" cannot patch resource "configmaps" in API group ""'
        store.refuse = lambda seen: refusal(403, said, "Forbidden") if seen.method == "PATCH" else None
        assert await objects.differences(api, set_of("30-a", CONFIG)) == ()
        changed = await objects.differences(api, set_of("30-a", {**CONFIG, "data": {"k": "2"}}))
        assert actions(changed) == [("change", "ConfigMap x/a")]

    run(action)


def test_a_namespace_that_is_being_deleted_says_what_holds_it(run: Run, store: ObjectStore) -> None:
    condition = {
        "type": "NamespaceFinalizersRemaining", "status": "True",
        "message": "Some content in the namespace has finalizers remaining: example.com/x in 1 resource instances",
    }  # fmt: skip
    store.put({**SPACE, "metadata": {"name": "x", "deletionTimestamp": "T"}, "status": {"conditions": [condition]}})

    async def action(api: Api) -> None:
        (found,) = await objects.differences(api, set_of("30-a", SPACE))
        assert found.action == "refused"
        assert "being deleted since T" in found.diff[0] and "example.com/x in 1 resource" in found.diff[0]
        with pytest.raises(ApiError, match="wait until it has gone and run again"):
            await objects.apply_set(api, set_of("30-a", SPACE))

    run(action)


def test_a_kind_in_another_version_is_named(run: Run) -> None:
    async def action(api: Api) -> None:
        with pytest.raises(ApiError, match=r"does not serve kind Job in batch/v1beta1; write batch/v1$"):
            await objects.apply_set(api, set_of("30-a", value("Job", "a", "x", "batch/v1beta1")))
        with pytest.raises(ApiError, match="apply its definition first"):
            await objects.apply_set(api, set_of("30-a", value("Ship", "a", "x", "example.com/v1")))

    run(action)


def api_service(**spec: Any) -> dict[str, Any]:
    service = {"name": "metrics-server", "namespace": "kube-system"}
    return value("APIService", "v1beta1.metrics.k8s.io", version=APIREG, spec={"service": service, **spec})


def test_an_api_service_is_written_whole(run: Run, store: ObjectStore) -> None:
    store.no_apply = frozenset({"APIService"})

    async def action(api: Api) -> None:
        ours = set_of("40-m", api_service(caBundle="QQ==", insecureSkipTLSVerify=False))
        assert actions(await objects.apply_set(api, ours)) == [("create", "APIService v1beta1.metrics.k8s.io")]
        live = store.get("APIService", "v1beta1.metrics.k8s.io")
        live["spec"]["service"]["port"] = 443
        del live["spec"]["insecureSkipTLSVerify"]
        live["status"] = {"conditions": []}
        assert await objects.differences(api, ours) == (), "what the server fills in is no difference"
        changed = set_of("40-m", api_service(caBundle="Qg=="))
        assert actions(await objects.apply_set(api, changed)) == [("change", "APIService v1beta1.metrics.k8s.io")]
        assert store.asked.count("PUT APIService v1beta1.metrics.k8s.io") == 1
        assert store.get("APIService", "v1beta1.metrics.k8s.io")["spec"]["caBundle"] == "Qg=="
        assert await objects.apply_set(api, changed) == ()

    run(action)


def test_an_api_service_that_its_controller_just_wrote_is_written_all_the_same(run: Run, store: ObjectStore) -> None:
    async def action(api: Api) -> None:
        await objects.apply_set(api, set_of("40-m", api_service(caBundle="QQ==")))
        answers = iter([refusal(409, "the object has been modified")])
        store.refuse = lambda seen: next(answers, None) if seen.method == "PUT" else None
        await objects.apply_set(api, set_of("40-m", api_service(caBundle="Qg==")))
        assert store.get("APIService", "v1beta1.metrics.k8s.io")["spec"]["caBundle"] == "Qg=="
        store.refuse = lambda seen: refusal(409, "modified") if seen.method == "PUT" else None
        with pytest.raises(ApiError, match="update APIService"):
            await objects.apply_set(api, set_of("40-m", api_service(caBundle="Qw==")))

    run(action)


def test_an_api_service_of_somebody_else_is_left_alone(run: Run, store: ObjectStore) -> None:
    store.put(api_service(caBundle="WA=="))

    async def action(api: Api) -> None:
        ours = set_of("40-m", api_service(caBundle="QQ=="))
        assert actions(await objects.differences(api, ours)) == [("refused", "APIService v1beta1.metrics.k8s.io")]
        with pytest.raises(ApiError, match="is not Slipway's and has other values"):
            await objects.apply_set(api, ours)

    run(action)


def test_a_definition_whose_names_are_taken_says_so(run: Run, store: ObjectStore) -> None:
    crd = value("CustomResourceDefinition", "ships.example.com", version="apiextensions.k8s.io/v1")

    async def action(api: Api) -> None:
        await objects.apply_set(api, set_of("30-a", crd))
        live = store.get("CustomResourceDefinition", "ships.example.com")
        assert await objects.unaccepted(api, set_of("30-a", crd)) == (
            "CustomResourceDefinition ships.example.com is not established yet",
        )
        taken = {"type": "NamesAccepted", "status": "False", "message": '"ships" is already in use'}
        live["status"] = {"conditions": [taken]}
        assert (await objects.unaccepted(api, set_of("30-a", crd)))[0].endswith('yet: "ships" is already in use')
        live["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
        assert await objects.unaccepted(api, set_of("30-a", crd)) == ()

    run(action)


def test_the_record_says_what_was_unfinished_in_words_of_its_own(run: Run, store: ObjectStore) -> None:
    async def action(api: Api) -> None:
        await objects.apply_set(api, set_of("30-a", CONFIG))
        found = store.get("ConfigMap", "slipway-objects", "kube-system")
        assert found["metadata"]["annotations"] == {"slipway.io/unfinished": "30-a"}
        assert json.loads(json.dumps(found["data"])) == {"30-a": "ConfigMap.\n"}
        assert await api.find(Ref("v1", "ConfigMap", "kube-system", "nobody")) is None

    run(action)
