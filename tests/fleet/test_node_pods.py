"""A node is in service with its network pod: the pod's own reason stands beside the node's."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.items import Item
from fleet.kube import Api, Ref
from fleet.node_pods import with_pods
from fleet.tree import Host, Pool, Ssh
from tests.fleet.api_stand_in import Pki
from tests.fleet.object_store import ObjectStore, refusal, with_store
from tests.fleet.test_rollout import daemons, node, pod, waiting

POOL = Pool("workers", frozenset({"worker"}), (), "debian-12", "amd64", "1", {}, ())
HOST = Host("w1", POOL, "10.0.0.1", "w1", "", {}, Ssh(), ())
DAEMONS = (Ref("apps/v1", "DaemonSet", "kube-system", "dns"),)
NO_CNI = "node w1 is not Ready: KubeletNotReady: cni plugin not initialized"


@pytest.fixture
def store() -> ObjectStore:
    return ObjectStore(node("w1"), {**daemons(1, 1, 0), "spec": {"selector": {"matchLabels": {"app": "dns"}}}})


Fault = Callable[..., str]


@pytest.fixture
def fault_of(pki: Pki, tmp_path: Path, store: ObjectStore) -> Fault:
    def found(fault: str = "", host: Host = HOST, refs: tuple[Ref, ...] = DAEMONS) -> str:
        def action(api: Api) -> Coroutine[Any, Any, str]:
            return with_pods(api, host, refs, fault)

        return str(with_store(pki, tmp_path, store, action))

    return found


def ready_pod(where: str = "w1") -> dict[str, Any]:
    return pod(where=where, phase="Running", conditions=[{"type": "Ready", "status": "True"}])


def test_a_node_with_its_pod_is_in_service(fault_of: Fault, store: ObjectStore) -> None:
    store.put(ready_pod())
    assert fault_of() == ""
    assert fault_of("the kubelet has no serving certificate yet") == "the kubelet has no serving certificate yet"


def test_a_node_without_its_pod_waits_for_it(fault_of: Fault, store: ObjectStore) -> None:
    assert fault_of() == "DaemonSet kube-system/dns has no pod on w1 yet"
    store.put(ready_pod("w2"))
    assert fault_of() == "DaemonSet kube-system/dns has no pod on w1 yet", "that of another node is none"
    leaving = ready_pod()
    leaving["metadata"]["deletionTimestamp"] = "T"
    store.put(leaving)
    assert fault_of() == "DaemonSet kube-system/dns has no pod on w1 yet", "one that is being replaced is none"


def test_the_reason_of_the_pod_stands_beside_that_of_the_node(fault_of: Fault, store: ObjectStore) -> None:
    store.put(pod(containerStatuses=[waiting("ErrImagePull", "no route to host")]))
    why = (
        "DaemonSet kube-system/dns: pod dns-1 on w1: container dns has no image: ErrImagePull: no route to host; "
        "see that the registry has registry.example.net/dns:1 and that the node gets there"
    )
    assert fault_of() == why
    assert fault_of(NO_CNI) == f"{NO_CNI}; {why}"
    store.refuse = lambda seen: refusal(403, "forbidden") if "/events" in seen.target else None
    store.put(pod(phase="Running"))
    assert fault_of() == "DaemonSet kube-system/dns: its pod dns-1 is not ready"


def test_a_pod_that_belongs_nowhere_here_is_not_waited_for(fault_of: Fault, store: ObjectStore) -> None:
    live = store.get("DaemonSet", "dns", "kube-system")
    live["spec"]["template"] = {"spec": {"nodeSelector": {"kubernetes.io/os": "windows"}}}
    assert fault_of() == ""
    assert fault_of(refs=(Ref("apps/v1", "DaemonSet", "kube-system", "later"),)) == "", "what was never applied"


def test_a_network_that_nothing_brings_is_named(fault_of: Fault, store: ObjectStore) -> None:
    words = "nothing in the tree brings a network to the nodes (network.plugin: none leaves that to you)"
    assert words in fault_of(NO_CNI, refs=()) and "addons.jsonnet" in fault_of(NO_CNI, refs=())
    path = "/etc/cni/net.d/10-bridge.conflist"
    bridge = Item("file", path, "bridge", "network", path)
    assert fault_of(NO_CNI, replace(HOST, items=(bridge,)), ()) == NO_CNI
    assert fault_of("node w1 is not Ready: disk pressure", refs=()) == "node w1 is not Ready: disk pressure"
    store.objects.clear()
    assert fault_of("node w1 has not registered") == "node w1 has not registered"
