"""The pods of a release, as the API has them: which run, which ended, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fleet.api_refusals import lacks_right
from fleet.connection import printable
from fleet.kube import Api, Object
from fleet.rollout_reasons import is_ready
from generator.errors import ApiError, RefusedError

LABEL = "app.kubernetes.io/instance"
"""What the chart writes on every pod, with the release's name."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod; `state` is running, waiting, terminated or unknown, `id` that of its present run."""

    name: str
    state: str
    restarts: int
    reason: str
    id: str

    @property
    def has_log(self) -> bool:
        """Whether it has begun; one that waits to be started anew has the log of the run before."""
        return self.state in {"running", "terminated"} or self.restarts > 0


@dataclass(frozen=True, slots=True)
class ReleasePod:
    """One pod; `reason` is empty where it is ready or nothing tells why it is not."""

    name: str
    phase: str
    ready: bool
    node: str
    reason: str
    containers: tuple[Container, ...]

    @property
    def line(self) -> str:
        """What is said of a pod that does not run as it should."""
        return f"{self.name}: {self.phase}" + (f": {self.reason}" if self.reason else "")


async def release_pods(api: Api, namespace: str, release: str) -> tuple[ReleasePod, ...]:
    """Return the pods of a release by name; raises RefusedError where there is none, ApiError where it cannot be asked.

    A pod that was told to end is still one: what it says last is often what is looked for.
    """
    found = await api.list("v1", "Pod", namespace, labels=f"{LABEL}={release}")
    if not found:
        raise RefusedError(f"{api.cluster}: {await _nothing(api, namespace, release)}")
    return tuple(sorted((pod_from(one) for one in found), key=lambda one: one.name))


async def _nothing(api: Api, namespace: str, release: str) -> str:
    try:
        made = await api.list("apps/v1", "Deployment", namespace, labels=f"{LABEL}={release}")
    except ApiError as error:
        if not lacks_right(error):
            raise
        return (
            f"no pod of release {release} is in namespace {namespace}; see whether it is released there, and that a "
            f"chart of its own labels its pods {LABEL}={release}"
        )
    if not made:
        return (
            f"no release {release} is in namespace {namespace}; release it there first (`invoke ci.trigger`), and see "
            f"that a chart of its own labels its objects {LABEL}={release}"
        )
    if all(one.get("spec", {}).get("replicas", 1) == 0 for one in made):
        return f"release {release} in namespace {namespace} is scaled to no pod; scale it up"
    said = [
        str(condition.get("message", ""))
        for one in made
        for condition in (one.get("status") or {}).get("conditions") or ()
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True"
    ]
    why = printable(said[0]).rstrip(". ") if said else "its Deployment has made none yet"
    return f"release {release} in namespace {namespace} has no pod: {why}; see `kubectl describe` of its Deployment"


def pod_from(value: Object) -> ReleasePod:
    """Return a pod of the API as it is told."""
    status, meta = value.get("status") or {}, value["metadata"]
    entries = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    known = {str(one.get("name", "")): one for one in entries}
    spec = value.get("spec") or {}
    names = [str(one["name"]) for one in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))]
    containers = tuple(_container(name, known.get(name, {})) for name in names)
    ready = is_ready(value)
    phase = "Terminating" if meta.get("deletionTimestamp") else str(status.get("phase") or "Unknown")
    return ReleasePod(
        str(meta["name"]), phase, ready, str(spec.get("nodeName") or ""),
        "" if ready else _pod_reason(status, containers), containers,
    )  # fmt: skip


def _container(name: str, entry: Mapping[str, Any]) -> Container:
    states = entry.get("state") or {}
    state = next((one for one in ("running", "waiting", "terminated") if one in states), "unknown")
    now = states.get(state) or {}
    last = (entry.get("lastState") or {}).get("terminated") or {}
    words = [_ending(now)] if state == "terminated" else [_waiting(now)] if state == "waiting" else []
    words += [f"before: {_ending(last)}"] if last else []
    ran = str(now.get("containerID") or entry.get("containerID") or "")
    return Container(name, state, int(entry.get("restartCount") or 0), ", ".join(filter(None, words)), ran)


def _waiting(state: Mapping[str, Any]) -> str:
    return _joined(str(state.get("reason") or "waits"), state.get("message"))


def _ending(state: Mapping[str, Any]) -> str:
    code, signal = state.get("exitCode"), state.get("signal")
    how = f"signal {signal}" if signal else f"exit code {code}"
    reason = str(state.get("reason") or "ended")
    return _joined(f"{reason} ({how})", state.get("message"))


def _joined(reason: str, message: object) -> str:
    said = printable(str(message or "")).strip().replace("\n", " ").rstrip(".")
    return f"{reason}: {said}" if said else reason


def _pod_reason(status: Mapping[str, Any], containers: Sequence[Container]) -> str:
    """Return why a pod is not ready: its own reason (Evicted), else that of its containers, else the scheduler's."""
    if status.get("reason"):
        return _joined(str(status["reason"]), status.get("message"))
    troubles = [f"{one.name} {one.reason}" for one in containers if one.reason]
    if troubles:
        return "; ".join(troubles)
    for one in status.get("conditions") or ():
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            return _joined(str(one.get("reason") or "not scheduled"), one.get("message"))
    return ""


def narrowed(pods: Sequence[ReleasePod], container: str | None, pod: str | None) -> tuple[ReleasePod, ...]:
    """Return pods with the one pod and the one container that are named; raises RefusedError where there is none."""
    if pod is not None and all(one.name != pod for one in pods):
        there = ", ".join(one.name for one in pods)
        raise RefusedError(f"no pod {pod} is of this release (there are: {there}); name one of these")
    chosen = tuple(one for one in pods if pod in (None, one.name))
    names = sorted({each.name for one in chosen for each in one.containers})
    if container is not None and container not in names:
        raise RefusedError(
            f"no pod of the release has a container {container} (there are: {', '.join(names)}); name one of these"
        )
    return tuple(
        replace(one, containers=tuple(each for each in one.containers if container in (None, each.name)))
        for one in chosen
    )


def running_container(pods: Sequence[ReleasePod], container: str | None, pod: str | None = None) -> tuple[str, str]:
    """Return pod and container in which a program can run; raises RefusedError that says what is there instead.

    Without a name it is the first container that runs, those that only prepare a pod last; a ready pod is preferred,
    and one that is told to end comes last.
    """
    chosen = narrowed(pods, container, pod)
    for one in sorted(chosen, key=lambda one: (one.phase == "Terminating", not one.ready, one.name)):
        for each in one.containers:
            if each.state == "running":
                return one.name, each.name
    what = "no container" if container is None else f"no container {container}"
    lines = "; ".join(one.line for one in chosen)
    raise RefusedError(f"{what} of the release runs ({lines}); see `invoke ci.logs`, with --previous for earlier runs")
