"""What the test pods show: each runs, its log can be read, programs run in it, it reaches the pod of the next node."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.connection import Result, printable
from fleet.exec_stream import exec_in_pod
from fleet.verify.results import Checked, Finding, checked, counted
from fleet.verify.visits import REQUESTS_AT_ONCE, Verification, each, ring
from fleet.verify.workload import NAME, PAGE_PORT
from generator.errors import ApiError

EXEC_SECONDS = 20
ANSWER_SECONDS = 5
TRIES = 2
_POLL = 1.0
_IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError")


@dataclass(frozen=True, slots=True)
class TestPod:
    """A pod that is Ready: the node that it runs on, its name and its addresses."""

    __test__ = False

    node: str
    name: str
    addresses: tuple[str, ...]


@dataclass
class Pods:
    """The pods of a run: those that are Ready, and for each node that should have one and has none the reason."""

    namespace: str
    ready: tuple[TestPod, ...] = ()
    missing: Mapping[str, Finding] | None = None


async def wait_ready(run: Verification, namespace: str, nodes: Collection[str], seconds: float) -> Pods:
    """Return the pods when each node has one that is Ready, or when `seconds` have passed."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    told = ""
    while True:
        live = {
            str(pod.get("spec", {}).get("nodeName") or _wanted_node(pod)): pod
            for pod in await run.api.list("v1", "Pod", namespace, labels=f"app={NAME}")
        }
        ready = {node: pod for node, pod in live.items() if _is_ready(pod)}
        waiting = sorted(set(nodes) - set(ready))
        if not waiting or loop.time() >= deadline:
            break
        reason = f"{len(ready)} of {len(nodes)} are Ready"
        if reason != told:
            told = reason
            run.reporter.event("waiting", gate="pods", reason=reason)
        await asyncio.sleep(_POLL)
    events = await _event_words(run, namespace) if waiting and len(live) < len(nodes) else ""
    return Pods(
        namespace,
        tuple(_test_pod(node, pod) for node, pod in sorted(ready.items())),
        {node: missing_pod(node, live.get(node), events, seconds) for node in waiting},
    )


async def check_pods(run: Verification, pods: Pods, nodes: Collection[str]) -> Checked:
    """Return which nodes have no pod that is Ready."""
    missing = pods.missing or {}
    return checked(f"{len(nodes) - len(missing)} of {counted(len(nodes), 'node')}", list(missing.values()))


async def check_logs(run: Verification, pods: Pods) -> Checked:
    """Read the log of every pod through the API server and the kubelet."""

    async def one(pod: TestPod) -> Finding | None:
        path = f"/api/v1/namespaces/{pods.namespace}/pods/{pod.name}/log"
        todo = f"see that kube-apiserver reaches port 10250 of {pod.node}, and the certificates of both"
        try:
            answer = await run.api.raw("GET", path, query={"tailLines": "10"}, wait_busy=False)
        except ApiError as error:
            return Finding(pod.node, f"the log of its pod cannot be read: {error}", todo)
        text = printable(answer.body.decode("utf-8", "replace")).strip()
        if answer.status != 200:
            return Finding(pod.node, f"the log of its pod cannot be read: HTTP status {answer.status}: {text}", todo)
        if f"serving on {pod.node}" not in text:
            return Finding(pod.node, "the log of its pod lacks what the pod has said", "see containerd's log files")
        return None

    return checked(counted(len(pods.ready), "pod"), await each(pods.ready, REQUESTS_AT_ONCE, one))


async def check_exec(run: Verification, pods: Pods) -> Checked:
    """Run a program in every pod: it prints the page that the pod serves."""

    async def one(pod: TestPod) -> Finding | None:
        todo = f"see that kube-apiserver reaches port 10250 of {pod.node}, and containerd's stream port there"
        answer, trouble = await in_pod(run, pods, pod, ["/bin/busybox", "cat", "/www/index.html"])
        if answer is None:
            return Finding(pod.node, f"no program can be run in its pod: {trouble}", todo)
        if answer.exit or answer.text.strip() != pod.node:
            return Finding(pod.node, f"a program in its pod ended with {answer.exit}: {answer.complaint}", todo)
        return None

    return checked(counted(len(pods.ready), "pod"), await each(pods.ready, REQUESTS_AT_ONCE, one))


async def check_pod_network(run: Verification, pods: Pods) -> Checked:
    """Let every pod ask the pod of the next node for its page, in a ring over the nodes."""
    pairs = ring(pods.ready)
    if not pairs:
        return Checked(skipped="there is one pod only, so nothing has to cross from node to node")
    asked = [(here, there, address) for here, there in pairs for address in there.addresses]

    async def one(way: tuple[TestPod, TestPod, str]) -> Finding | None:
        here, there, address = way
        request = "/bin/busybox printf 'GET / HTTP/1.0\\r\\n\\r\\n'"
        ask = f"{request} | /bin/busybox nc -w {ANSWER_SECONDS} {address} {PAGE_PORT}"
        said = ""
        for _ in range(TRIES):
            answer, trouble = await in_pod(run, pods, here, ["/bin/busybox", "sh", "-c", ask])
            if answer is None:
                return Finding(here.node, f"its pod could not ask anybody: {trouble}", "see the check exec")
            if answer.text.rpartition("\r\n\r\n")[2].strip() == there.node:
                return None
            said = answer.complaint if answer.exit else "the answer is not that pod's page"
        cause = f"its pod gets no page from the pod on {there.node} ({address}): {said}"
        todo = f"see the pod network's own pods or routes on {here.node} and {there.node}, and firewalls between them"
        return Finding(here.node, cause, todo)

    return checked(counted(len(asked), "way"), await each(asked, REQUESTS_AT_ONCE, one))


async def in_pod(run: Verification, pods: Pods, pod: TestPod, argv: Sequence[str]) -> tuple[Result | None, str]:
    """Return how a program in a pod ended, or None and why it could not be run."""
    try:
        return await exec_in_pod(run.api.channel, pods.namespace, pod.name, argv, seconds=EXEC_SECONDS), ""
    except ApiError as error:
        return None, str(error)


def _test_pod(node: str, pod: Mapping[str, Any]) -> TestPod:
    status = pod["status"]
    found = [str(one["ip"]) for one in status.get("podIPs") or ()] or [str(status["podIP"])]
    return TestPod(node, str(pod["metadata"]["name"]), tuple(found))


def _is_ready(pod: Mapping[str, Any]) -> bool:
    status = pod.get("status") or {}
    conditions = {one.get("type"): one.get("status") for one in status.get("conditions") or ()}
    return conditions.get("Ready") == "True" and bool(status.get("podIP"))


def _wanted_node(pod: Mapping[str, Any]) -> str:
    """Return the node that a DaemonSet has written into a pod that the scheduler has not placed yet."""
    try:
        terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        return str(terms["nodeSelectorTerms"][0]["matchFields"][0]["values"][0])
    except (KeyError, IndexError, TypeError):
        return ""


def missing_pod(node: str, pod: Mapping[str, Any] | None, events: str, seconds: float) -> Finding:
    """Return why a node has no pod that is Ready, in the words of the kubelet or the scheduler."""
    limit = f"no test pod is Ready there after {seconds:.0f} s"
    if pod is None:
        why = f": {events}" if events else ": none was made for it"
        return Finding(node, limit + why, "see kube-controller-manager's journal, and admission policies")
    status = pod.get("status") or {}
    for one in status.get("containerStatuses") or ():
        state = one.get("state") or {}
        held = state.get("waiting") or state.get("terminated") or {}
        reason = str(held.get("reason", ""))
        if reason and reason not in ("ContainerCreating", "PodInitializing"):
            words = printable(f"{reason}: {held.get('message', '')}".strip(": ")).splitlines()[0]
            if reason in _IMAGE_REASONS:
                todo = "set verify.image in cluster.yaml to an image that this node can pull, and render"
                return Finding(node, f"{limit}: {words}", todo)
            return Finding(node, f"{limit}: {words}", "see `journalctl -u containerd` there")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") != "True":
            words = printable(str(condition.get("message") or condition.get("reason") or "not scheduled"))
            return Finding(node, f"{limit}: {words}", "see kube-scheduler's journal")
    what = "its container is being created" if status.get("phase") == "Pending" else "it does not answer its probe"
    return Finding(node, f"{limit}: {what}", "see `journalctl -u kubelet -u containerd` there, and the pod network")


async def _event_words(run: Verification, namespace: str) -> str:
    """Return the last thing that a controller complained about in the namespace."""
    try:
        found = await run.api.list("v1", "Event", namespace, fields="type=Warning")
    except ApiError:
        return ""
    found.sort(key=lambda one: str(one["metadata"].get("creationTimestamp", "")))
    return printable(str(found[-1].get("message", ""))) if found else ""
