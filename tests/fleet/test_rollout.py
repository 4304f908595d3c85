"""Roll-outs: what counts as done, and why one hangs, in words for somebody who is tired."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from fleet import rollout
from fleet.gates import KINDS, GateContext, GateKind, wait_open
from fleet.kube import Api, Ref, ref_of
from fleet.reporter import SilentReporter
from fleet.rollout import Watch, fault_of, not_rolled_out
from fleet.selectors import belongs_on, selector_of
from fleet.tree import Phase
from generator.errors import GateError
from tests.fleet.object_store import ObjectStore, Run, refusal

Value = dict[str, Any]


@pytest.fixture
def store() -> ObjectStore:
    return ObjectStore(node("w1"))


def node(name: str, reason: str = "") -> Value:
    ready = {"type": "Ready", "status": "False" if reason else "True", "reason": "KubeletNotReady", "message": reason}
    metadata = {"name": name, "labels": {"kubernetes.io/os": "linux"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": {"conditions": [ready]}}


def workload(kind: str, status: Value, generation: int = 1, **spec: Any) -> Value:
    version = "batch/v1" if kind == "Job" else "apps/v1"
    metadata = {"name": "dns", "namespace": "kube-system", "generation": generation, "uid": "uid-of-dns"}
    selector = {"selector": {"matchLabels": {"app": "dns"}}}
    observed = {"observedGeneration": generation} if kind != "Job" else {}
    return {
        "apiVersion": version, "kind": kind, "metadata": metadata, "spec": {**selector, **spec},
        "status": {**observed, **status},
    }  # fmt: skip


def deployment(updated: int, available: int, total: int = 2, **spec: Any) -> Value:
    status = {"replicas": total, "updatedReplicas": updated, "availableReplicas": available}
    return workload("Deployment", status, replicas=2, **spec)


def daemons(desired: int, updated: int, available: int, **spec: Any) -> Value:
    status = {"desiredNumberScheduled": desired, "updatedNumberScheduled": updated, "numberAvailable": available}
    return workload("DaemonSet", status, **spec)


def replicas(ready: int, updated: int, revision: str = "2", **spec: Any) -> Value:
    status = {
        "replicas": 3, "readyReplicas": ready, "updatedReplicas": updated, "currentRevision": "1",
        "updateRevision": revision,
    }  # fmt: skip
    return workload("StatefulSet", status, replicas=3, **spec)


def job(*conditions: Value) -> Value:
    return workload("Job", {"conditions": list(conditions)})


def served(**condition: str) -> Value:
    conditions = [{"type": "Available", **condition}] if condition else []
    return {
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "status": {"conditions": conditions},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("live", "fault"),
    [
        (deployment(2, 2), ""),
        (deployment(1, 2, total=3), "1 of 2 replicas are of the newest kind"),
        (deployment(2, 3, total=3), "1 replicas of the kind before are still there"),
        (deployment(2, 1), "1 of 2 replicas are available"),
        (
            deployment(0, 2, paused=True),
            "0 of 2 replicas are of the newest kind; it is paused: `kubectl rollout resume` lets it go on",
        ),
        ({**deployment(2, 2), "status": {}}, "kube-controller-manager has not looked at it yet"),
        (workload("Deployment", {}, replicas=0), ""),
        (daemons(3, 3, 3), ""),
        (daemons(0, 0, 0), ""),
        (daemons(3, 1, 3), "1 of 3 pods are of the newest kind"),
        (daemons(3, 1, 3, updateStrategy={"type": "OnDelete"}), ""),
        (daemons(3, 3, 2), "2 of 3 pods are available"),
        (replicas(3, 3), ""),
        (replicas(3, 1), "1 of 3 replicas are of the newest kind"),
        (replicas(3, 1, updateStrategy={"rollingUpdate": {"partition": 2}}), ""),
        (replicas(3, 0, updateStrategy={"type": "OnDelete"}), ""),
        (replicas(3, 0, revision="1"), ""),
        (replicas(1, 3), "1 of 3 replicas are ready"),
        (job(), "it has not ended yet"),
        (job({"type": "Complete", "status": "True"}), ""),
        (
            job({"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"}),
            "it has failed (BackoffLimitExceeded: too often); delete it to have it tried again",
        ),
        ({**job(), "spec": {"suspend": True}}, ""),
        (served(status="True"), ""),
        (served(), "kube-apiserver has not looked at it yet"),
        (
            served(status="False", reason="MissingEndpoints", message="no addresses"),
            "the API server cannot pass on what it serves (MissingEndpoints: no addresses)",
        ),
        ({"kind": "ConfigMap"}, ""),
    ],
)
def test_what_counts_as_rolled_out(live: Value, fault: str) -> None:
    assert fault_of(live) == fault


def pod(name: str = "dns-1", *, where: str = "w1", labels: Value | None = None, **status: Any) -> Value:
    metadata = {"name": name, "namespace": "kube-system", "labels": labels or {"app": "dns"}, "uid": f"uid-of-{name}"}
    spec = {"nodeName": where} if where else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
        "status": {"phase": "Pending", **status},
    }


def waiting(reason: str, message: str = "", **more: Any) -> Value:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": "dns", "image": "registry.example.net/dns:1", "state": state, **more}


def event(about: str, reason: str, message: str, when: str = "2026-01-01T00:00:00Z") -> Value:
    return {
        "apiVersion": "v1", "kind": "Event", "reason": reason, "message": message, "lastTimestamp": when,
        "metadata": {"name": f"{about}.{reason}.{when[-3:-1]}", "namespace": "kube-system"},
        "involvedObject": {"uid": f"uid-of-{about}"},
    }  # fmt: skip


NOT_READY = {"conditions": [{"type": "Ready", "status": "False"}]}
NO_PLACE = {
    "conditions": [
        {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    ]
}
CLAIMING = pod(
    where="", conditions=[{"type": "PodScheduled", "status": "False", "message": "unbound PersistentVolumeClaims"}]
)
CLAIMING["spec"]["volumes"] = [{"persistentVolumeClaim": {"claimName": "data"}}]
CLAIM = {
    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": "Pending"},
    "metadata": {"name": "data", "namespace": "kube-system", "uid": "uid-of-data"},
}  # fmt: skip
REPLICA_SET = {
    "apiVersion": "apps/v1", "kind": "ReplicaSet",
    "metadata": {
        "name": "dns-x", "namespace": "kube-system", "labels": {"app": "dns"}, "uid": "uid-of-dns-x",
        "ownerReferences": [{"uid": "uid-of-dns"}],
    },
}  # fmt: skip
FAILURE = {"type": "ReplicaFailure", "status": "True", "message": 'pods "dns-" is forbidden: exceeded quota: q'}


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ([], ""),
        (
            [
                pod(
                    containerStatuses=[
                        waiting("ImagePullBackOff", 'Back-off pulling image "registry.example.net/dns:1"')
                    ]
                ),
                event("dns-1", "Failed", "Failed to pull image: not found", "2026-01-01T00:00:01Z"),
                event("dns-1", "Failed", "Error: ImagePullBackOff", "2026-01-01T00:00:09Z"),
            ],
            "pod dns-1 on w1: container dns has no image: ImagePullBackOff: Failed to pull image: not found; "
            "see that the registry has registry.example.net/dns:1 and that the node gets there",
        ),
        (
            [
                pod(
                    initContainerStatuses=[
                        waiting(
                            "CrashLoopBackOff",
                            "back-off",
                            restartCount=4,
                            lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                        )
                    ]
                )
            ],
            "pod dns-1 on w1: container dns ends again and again (4 restarts, the last with exit code 137, OOMKilled); "
            "see `kubectl logs -n kube-system dns-1 -c dns --previous`",
        ),
        (
            [pod(containerStatuses=[{"name": "dns", "restartCount": 1, "state": {"terminated": {"exitCode": 1}}}])],
            "pod dns-1 on w1: container dns ends again and again (1 restarts, the last with exit code 1); "
            "see `kubectl logs -n kube-system dns-1 -c dns --previous`",
        ),
        (
            [pod(containerStatuses=[waiting("CreateContainerConfigError", 'secret "s" not found')])],
            'pod dns-1 on w1: container dns does not start: CreateContainerConfigError: secret "s" not found; '
            "correct what it names",
        ),
        (
            [pod(where="", **NO_PLACE)],
            "pod dns-1 finds no node: 0/1 nodes are available: 1 Insufficient cpu; add room, or let it request less",
        ),
        (
            [
                pod(where=""),
                event("dns-1", "FailedScheduling", "0/1 nodes are available: 1 node(s) had untolerated taint"),
            ],
            "pod dns-1 finds no node: 0/1 nodes are available: 1 node(s) had untolerated taint; "
            "give it the toleration, or take the taint away",
        ),
        ([pod(where="")], "pod dns-1 has no node yet; see that kube-scheduler runs"),
        (
            [CLAIMING, CLAIM, event("data", "FailedBinding", "no storage class is set")],
            "pod dns-1 waits for the claim data, which is not bound (no storage class is set); "
            "give it a volume or a storage class that makes one",
        ),
        ([CLAIMING], "pod dns-1 waits for the claim data, which is not there; make it, or name another"),
        (
            [
                pod(phase="Running", **NOT_READY),
                event("dns-1", "Unhealthy", "Readiness probe failed: 503", "2026-01-01T00:00:07Z"),
                event("dns-1", "Unhealthy", "Startup probe failed: refused"),
            ],
            "pod dns-1 on w1 runs and is not ready: Readiness probe failed: 503; "
            "see `kubectl logs -n kube-system dns-1`",
        ),
        (
            [pod(containerStatuses=[waiting("ContainerCreating")]), event("dns-1", "FailedMount", "no such file")],
            "pod dns-1 on w1 does not start: no such file",
        ),
        (
            [pod(phase="Failed", reason="Evicted", message="disk")],
            "pod dns-1 on w1 has failed (Evicted: disk); see `kubectl logs`",
        ),
        ([pod(phase="Running", **NOT_READY)], "pod dns-1 on w1 is running and not ready yet"),
        (
            [pod(), pod("dns-2")],
            "pod dns-1 on w1 is being started (and 1 more of its pods are not ready)",
        ),
        (
            [event("dns", "FailedCreate", 'pods "dns-x" is forbidden: violates PodSecurity "restricted:latest"')],
            'its pods cannot be made: pods "dns-x" is forbidden: violates PodSecurity "restricted:latest"; '
            "correct the pod, or give its namespace the label pod-security.kubernetes.io/enforce that it needs",
        ),
        (
            [REPLICA_SET, event("dns-x", "FailedCreate", "error looking up service account kube-system/dns")],
            "its pods cannot be made: error looking up service account kube-system/dns; see `kubectl describe` of it",
        ),
        ([pod(labels={"app": "other"})], ""),
    ],
)
def test_a_workload_that_hangs_says_why(run: Run, store: ObjectStore, there: list[Value], words: str) -> None:
    live = deployment(2, 0)
    for value in (live, *there):
        store.put(value)

    async def action(api: Api) -> None:
        (found,) = await not_rolled_out(api, [ref_of(live)], Watch())
        assert found == "Deployment kube-system/dns: 0 of 2 replicas are available" + (f"; {words}" if words else "")

    run(action)


def test_a_pod_that_says_something_is_named_before_one_that_does_not(run: Run, store: ObjectStore) -> None:
    live = store.put(deployment(2, 0))
    store.put(pod("dns-1", containerStatuses=[waiting("InvalidImageName", "bad name")]))
    newest = pod("dns-2")
    newest["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    store.put(newest)

    async def action(api: Api) -> None:
        (found,) = await not_rolled_out(api, [ref_of(live)], Watch())
        assert "pod dns-1 on w1: container dns has no image: InvalidImageName: bad name" in found

    run(action)


def test_pods_that_cannot_be_made_say_so_first(run: Run, store: ObjectStore) -> None:
    live = deployment(0, 1)
    live["status"]["conditions"] = [FAILURE]
    for value in (live, pod(containerStatuses=[waiting("ErrImagePull", "x")])):
        store.put(value)

    async def action(api: Api) -> None:
        (found,) = await not_rolled_out(api, [ref_of(live)], Watch())
        assert "its pods cannot be made" in found and "raise the ResourceQuota" in found

    run(action)


def test_without_any_node_nothing_is_waited_for(run: Run, store: ObjectStore) -> None:
    live = store.put(deployment(0, 0))
    del store.objects[Ref("v1", "Node", "", "w1")]

    async def action(api: Api) -> None:
        assert await not_rolled_out(api, [ref_of(live)], Watch()) == ()

    run(action)


def test_where_no_node_is_ready_the_reason_is_the_node(run: Run, store: ObjectStore) -> None:
    live = store.put(deployment(2, 0))
    store.put(node("w1", "cni plugin not initialized"))
    said = "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }"
    store.put(pod(where="", conditions=[{"type": "PodScheduled", "status": "False", "message": said}]))

    async def action(api: Api) -> None:
        first, second = await not_rolled_out(api, [ref_of(live)], Watch())
        assert "bring the nodes to Ready: `invoke status` says why they are not" in first
        assert second == "no node is Ready (w1: KubeletNotReady: cni plugin not initialized)"

    run(action)


def test_pods_of_nodes_that_are_not_ready_hold_up_nothing(run: Run, store: ObjectStore) -> None:
    live = store.put(daemons(2, 2, 1))
    store.put(node("w2", "gone"))
    store.put(pod("dns-2", where="w2"))

    async def action(api: Api) -> None:
        assert await not_rolled_out(api, [ref_of(live)], Watch()) == ()
        store.put({**live, "status": {**live["status"], "numberAvailable": 0}})
        (found,) = await not_rolled_out(api, [ref_of(live)], Watch())
        assert found.startswith("DaemonSet kube-system/dns: 0 of 1 pods are available")

    run(action)


def test_an_api_behind_a_workload_comes_after_it(run: Run, store: ObjectStore) -> None:
    live, behind = store.put(deployment(2, 0)), store.put(served(status="False", reason="MissingEndpoints"))

    async def action(api: Api) -> None:
        found = await not_rolled_out(api, [ref_of(behind), ref_of(live), Ref("v1", "ConfigMap", "x", "a")], Watch())
        assert [one.split()[0] for one in found] == ["Deployment", "APIService"]
        missing = Ref("apps/v1", "Deployment", "x", "gone")
        assert await not_rolled_out(api, [missing], Watch()) == ("Deployment x/gone: it is not there",)

    run(action)


def test_reasons_are_not_asked_for_at_every_look(run: Run, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    live = store.put(deployment(2, 0))
    asked: list[str] = []
    store.refuse = lambda seen: asked.append(seen.target) if "/pods" in seen.target else None
    known = Watch()

    async def action(api: Api) -> None:
        for _ in range(3):
            await not_rolled_out(api, [ref_of(live)], known)
        assert len(asked) == 1
        monkeypatch.setattr(rollout, "REASON_SECONDS", 0.0)
        await not_rolled_out(api, [ref_of(live)], known)
        assert len(asked) == 2

    run(action)


def test_progress_is_only_what_was_never_reached(run: Run, store: ObjectStore) -> None:
    watch, seen = Watch(), []

    async def action(api: Api) -> None:
        for updated, available in ((0, 2), (1, 2), (1, 1), (1, 2), (2, 1)):
            live = store.put(deployment(updated, available))
            await not_rolled_out(api, [ref_of(live)], watch)
            seen.append(watch.progress)
        await not_rolled_out(
            api, [ref_of(store.put({**live, "metadata": {**live["metadata"], "generation": 2}}))], watch
        )
        seen.append(watch.progress)

    run(action)
    assert seen == [1, 2, 2, 2, 2, 3], "what goes up and down does not keep a gate waiting for ever"


@pytest.mark.parametrize(("longest", "waited"), [(None, 140.0), (60.0, 60.0)])
def test_a_gate_that_comes_closer_is_waited_for(longest: float | None, waited: float) -> None:
    now, looks = [0.0], []

    async def sleep(seconds: float) -> None:
        now[0] += 10.0

    async def check(context: GateContext, parameters: Any) -> str:
        looks.append(now[0])
        context.memory["progress"] = min(len(looks), 5)
        return "2 of 9 pods are available"

    KINDS["closer-here"] = GateKind("closer-here", check, 100.0, of_host=False)
    try:
        context = GateContext(SimpleNamespace(cluster="demo"), Phase("addons"), None, None, longest=longest)  # type: ignore[arg-type]
        with pytest.raises(GateError, match="still shut after"):
            asyncio.run(
                wait_open({"kind": "closer-here"}, context, SilentReporter(), sleep=sleep, clock=lambda: now[0])
            )
    finally:
        del KINDS["closer-here"]
    assert looks[-1] == waited


def test_what_credentials_may_not_see_is_no_reason(run: Run, store: ObjectStore) -> None:
    live = store.put(deployment(2, 0))
    store.refuse = lambda seen: refusal(403, "forbidden") if "/pods" in seen.target else None

    async def action(api: Api) -> None:
        (found,) = await not_rolled_out(api, [ref_of(live)], Watch())
        assert found == "Deployment kube-system/dns: 0 of 2 replicas are available"

    run(action)


def test_selectors_are_written_as_the_api_takes_them() -> None:
    expressions = [
        {"key": "a", "operator": "In", "values": ["1", "2"]},
        {"key": "b", "operator": "NotIn", "values": ["3"]},
        {"key": "c", "operator": "Exists"},
        {"key": "d", "operator": "DoesNotExist"},
    ]
    spec = {"selector": {"matchLabels": {"z": "1", "y": "2"}, "matchExpressions": expressions}}
    assert selector_of({"spec": spec}) == "y=2,z=1,a in (1,2),b notin (3),c,!d"


def tainted(*taints: Value) -> Value:
    return {"metadata": {"labels": {"kubernetes.io/os": "linux"}}, "spec": {"taints": list(taints)}}


def template(**spec: Any) -> Value:
    return {"spec": {"template": {"spec": spec}}}


CONTROL = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
REQUIRED = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}


@pytest.mark.parametrize(
    ("daemon", "on", "belongs"),
    [
        (template(), tainted(), True),
        (template(), tainted({"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}), True),
        (template(), tainted({"key": "x", "effect": "PreferNoSchedule"}), True),
        (template(), tainted(CONTROL), False),
        (template(tolerations=[{"operator": "Exists"}]), tainted(CONTROL), True),
        (template(tolerations=[{"operator": "Exists", "effect": "NoExecute"}]), tainted(CONTROL), False),
        (template(tolerations=[{"key": CONTROL["key"]}]), tainted(CONTROL), True),
        (template(tolerations=[{"key": CONTROL["key"], "value": "x"}]), tainted(CONTROL), False),
        (template(tolerations=[{"key": CONTROL["key"], "operator": "Exists"}]), tainted(CONTROL), True),
        (template(nodeSelector={"kubernetes.io/os": "linux"}), tainted(), True),
        (template(nodeSelector={"kubernetes.io/os": "windows"}), tainted(), False),
        (template(affinity=REQUIRED), tainted(), False),
    ],
)
def test_where_a_daemon_set_surely_has_a_pod(daemon: Value, on: Value, belongs: bool) -> None:
    assert belongs_on(daemon, on) is belongs
