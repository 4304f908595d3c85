"""Why a workload hangs, from its conditions, its pods and their events: one sentence with what to do.

Pods are looked at first where there are any, else what makes them. Events: https://kubernetes.io/docs/reference/
kubernetes-api/cluster-resources/event-v1/ (the core ones, which every version serves and chooses by involvedObject).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fleet.api_refusals import advice
from fleet.connection import printable
from fleet.kube import Api, Object, Ref
from fleet.selectors import selector_of
from generator.errors import ApiError

_SHOWN = 400
_LOOKED_AT = 5
_SAYS_LITTLE = ("running and not ready yet", "being started")
_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"})
_SCHEDULING: tuple[tuple[str, str], ...] = (
    (r"unbound (immediate )?PersistentVolumeClaims|persistentvolumeclaim \S+ not found", ""),
    (r"Insufficient ", "add room, or let it request less"),
    (r"didn't match Pod's node affinity|didn't match node selector", "correct its nodeSelector or label a node"),
    (r"free ports", "free that port on the nodes, or let it run on others"),
    (r"not-ready|not ready", "bring the nodes to Ready: `invoke status` says why they are not"),
    (r"taint", "give it the toleration, or take the taint away"),
)


async def hang_reason(api: Api, live: Object) -> str:
    """Return why a workload does not come up and what to do; "" where nothing tells yet.

    What the credentials may not see is no reason; raises ApiError where the API itself does not answer.
    """
    try:
        return _short(await _reason(api, live))
    except ApiError as error:
        if error.status in (403, 404):
            return ""
        raise


async def pod_reason(api: Api, pod: Object) -> str:
    """Return why a pod is not ready, "" where it is or nothing tells yet."""
    return _short(await _pod(api, pod))


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod is Ready and stays."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
    return ready and not pod.get("metadata", {}).get("deletionTimestamp")


async def _reason(api: Api, live: Object) -> str:
    namespace = str(live["metadata"].get("namespace", ""))
    # A replica that cannot even be made says more than an old one that is sick.
    for one in (live.get("status") or {}).get("conditions") or ():
        if one.get("type") == "ReplicaFailure" and one.get("status") == "True":
            return _not_made(str(one.get("message", "")))
    pods = await api.list("v1", "Pod", namespace, labels=selector_of(live))
    sick = [pod for pod in pods if not is_ready(pod) and (pod.get("status") or {}).get("phase") != "Succeeded"]
    reasons: list[str] = []
    for pod in _newest_first(sick)[:_LOOKED_AT]:
        if why := await _pod(api, pod):
            reasons.append(why)
        if why and not why.endswith(_SAYS_LITTLE):
            reasons = [why]
            break
    if not reasons:
        for maker in (live, *await _replica_sets(api, live)):
            if failed := await _event(api, maker, ("FailedCreate",)):
                return _not_made(failed)
    more = f" (and {len(sick) - 1} more of its pods are not ready)" if reasons and len(sick) > 1 else ""
    return f"{reasons[0]}{more}" if reasons else ""


async def _replica_sets(api: Api, live: Object) -> list[Object]:
    """Return the ReplicaSets of a Deployment, newest first; other kinds make their pods themselves."""
    if live.get("kind") != "Deployment":
        return []
    found = await api.list("apps/v1", "ReplicaSet", _space(live), labels=selector_of(live))
    uid = live["metadata"].get("uid")
    own = [one for one in found if uid in {owner.get("uid") for owner in one["metadata"].get("ownerReferences") or ()}]
    return _newest_first(own)


def _not_made(said: str) -> str:
    todo = advice(0, said)
    known = todo if "journal" not in todo else "see `kubectl describe` of it"
    return f"its pods cannot be made: {said.rstrip('. ')}; {known}"


def _newest_first(pods: Sequence[Object]) -> list[Object]:
    return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)


async def _pod(api: Api, pod: Object) -> str:
    name = str(pod["metadata"]["name"])
    node = str(pod.get("spec", {}).get("nodeName") or "")
    status = pod.get("status") or {}
    where = f"pod {name} on {node}" if node else f"pod {name}"
    if pod["metadata"].get("deletionTimestamp"):
        return f"{where} is being ended since {pod['metadata']['deletionTimestamp']}"
    if not node:
        return await _unscheduled(api, pod, where)
    if why := await _waiting(api, pod, where):
        return why
    if status.get("phase") == "Failed":
        said = f"{status.get('reason', '')}: {status.get('message', '')}".strip(": ")
        return f"{where} has failed ({said or 'its containers ended'}); see `kubectl logs`"
    if is_ready(pod):
        return ""
    if probe := await _event(api, pod, ("Unhealthy",)):
        return f"{where} runs and is not ready: {probe}; see `kubectl logs -n {_space(pod)} {name}`"
    trouble = await _event(api, pod, ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "Failed"))
    if trouble:
        return f"{where} does not start: {trouble}"
    return f"{where} is {_SAYS_LITTLE[0] if status.get('phase') == 'Running' else _SAYS_LITTLE[1]}"


async def _unscheduled(api: Api, pod: Object, where: str) -> str:
    said = next(
        (
            str(one.get("message", ""))
            for one in (pod.get("status") or {}).get("conditions") or ()
            if one.get("type") == "PodScheduled" and one.get("status") == "False"
        ),
        "",
    ) or await _event(api, pod, ("FailedScheduling",))
    if claim := await _claim(api, pod):
        return f"{where} waits for {claim}"
    if not said:
        return f"{where} has no node yet; see that kube-scheduler runs"
    todo = next((todo for pattern, todo in _SCHEDULING if re.search(pattern, said)), "")
    return f"{where} finds no node: {said.rstrip('. ')}{f'; {todo}' if todo else ''}"


async def _claim(api: Api, pod: Object) -> str:
    """Return which claim of a pod is not bound and why, "" where all are."""
    for volume in pod.get("spec", {}).get("volumes") or ():
        name = str((volume.get("persistentVolumeClaim") or {}).get("claimName") or "")
        if not name:
            continue
        live = await api.find(Ref("v1", "PersistentVolumeClaim", _space(pod), name))
        if live is None:
            return f"the claim {name}, which is not there; make it, or name another"
        if (live.get("status") or {}).get("phase") != "Bound":
            why = await _event(api, live, ("ProvisioningFailed", "FailedBinding", "ExternalProvisioning"))
            said = f" ({why})" if why else ""
            return f"the claim {name}, which is not bound{said}; give it a volume or a storage class that makes one"
    return ""


async def _waiting(api: Api, pod: Object, where: str) -> str:
    """Return which container does not run and why, init containers first, since the others wait for them."""
    status = pod.get("status") or {}
    for entry in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        name = str(entry.get("name", ""))
        waiting = (entry.get("state") or {}).get("waiting") or {}
        reason, said = str(waiting.get("reason") or ""), str(waiting.get("message") or "").rstrip(". ")
        logs = f"`kubectl logs -n {_space(pod)} {pod['metadata']['name']} -c {name} --previous`"
        if reason in _IMAGE:
            detail = await _event(api, pod, ("Failed",)) if reason == "ImagePullBackOff" else ""
            return (
                f"{where}: container {name} has no image: {reason}: {detail or said}; "
                f"see that the registry has {entry.get('image', 'it')} and that the node gets there"
            )
        if reason == "CrashLoopBackOff" or (not reason and _ended_badly(entry)):
            return f"{where}: container {name} ends again and again ({_ending(entry)}); see {logs}"
        if reason not in {"", "ContainerCreating", "PodInitializing"}:
            return f"{where}: container {name} does not start: {reason}: {said}; correct what it names"
    return ""


def _ended_badly(entry: Mapping[str, Any]) -> bool:
    ended = (entry.get("state") or {}).get("terminated") or {}
    return bool(ended) and int(ended.get("exitCode") or 0) != 0


def _ending(entry: Mapping[str, Any]) -> str:
    last = (entry.get("lastState") or {}).get("terminated") or (entry.get("state") or {}).get("terminated") or {}
    words = [f"{entry.get('restartCount', 0)} restarts"]
    if last:
        words.append(f"the last with exit code {last.get('exitCode', '?')}")
        if last.get("reason") and last["reason"] != "Error":
            words.append(str(last["reason"]))
        if last.get("message"):
            words.append(" ".join(str(last["message"]).split())[-200:])
    return ", ".join(words)


async def _event(api: Api, about: Object, reasons: Sequence[str]) -> str:
    """Return the message of the newest event about an object with one of the reasons, "" where there is none."""
    meta = about["metadata"]
    found = await api.list(
        "v1", "Event", str(meta.get("namespace", "")), fields=f"involvedObject.uid={meta.get('uid', '')}"
    )
    some = [event for event in found if event.get("reason") in reasons]
    if "Failed" in reasons:
        # "Error: ImagePullBackOff" is an event, too, and says less than the one about the pull.
        some = [event for event in some if not str(event.get("message", "")).startswith("Error: ")] or some
    newest = max(some, key=_when, default=None)
    return " ".join(str((newest or {}).get("message", "")).split()).rstrip(". ")


def _when(event: Mapping[str, Any]) -> str:
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


def _space(value: Mapping[str, Any]) -> str:
    return str(value["metadata"].get("namespace", ""))


def _short(text: str) -> str:
    said = printable(text)
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}…"
