"""What a run puts into the cluster and takes away again: one namespace with a DaemonSet and a Service.

The namespace carries who made it, so that what a killed run left is known for certain and removed by the next one,
while the namespace of a run that lives is left alone.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fleet.holder import process_lives
from fleet.kube import Api, Object, Ref
from generator.errors import ApiError

PREFIX = "slipway-verify-"
LABELS = {"app.kubernetes.io/managed-by": "slipway", "slipway.io/purpose": "verify"}
SELECTOR = ",".join(f"{key}={value}" for key, value in LABELS.items())
NAME = "page"
PORT, PAGE_PORT = 80, 8080
LONGEST_RUN = timedelta(hours=1)
"""A namespace of another machine that is older belongs to no run that lives."""

GONE_SECONDS = 90
"""How long the removal of the namespace is waited for."""
FORCE_SECONDS = 40
"""After which pods that do not end, as on a node that is down, are taken out of the API by force."""

_OPERATOR, _MACHINE, _PROCESS = (f"slipway.io/{word}" for word in ("operator", "machine", "process"))
_NOBODY = 65534
# The pod says when it serves, for the check of its log. busybox sh has echo within; nothing else of the image is used.
_SERVE = (
    f'echo "$NODE" >/www/index.html && echo "serving on $NODE" && exec /bin/busybox httpd -f -p {PAGE_PORT} -h /www'
)


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes a namespace: the operator, a digest of the machine ("" if unknown), pid and start time there."""

    operator: str
    machine: str
    process: str


def new_name() -> str:
    """Return a name for the namespace of one run."""
    return PREFIX + secrets.token_hex(4)


def objects(
    namespace: str, image: str, maker: Maker, *, only: Sequence[str] = (), never: Sequence[str] = ()
) -> tuple[Object, ...]:
    """Return what is created, in order.

    `only` are the nodes on which the pods run where not on all, `never` those on which they do not.
    """
    words = [{"key": "kubernetes.io/hostname", "operator": "In", "values": list(only)}] if only else []
    words += [{"key": "kubernetes.io/hostname", "operator": "NotIn", "values": list(never)}] if never else []
    return (
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": namespace,
                "labels": {**LABELS, "pod-security.kubernetes.io/enforce": "restricted"},
                "annotations": {_OPERATOR: maker.operator, _MACHINE: maker.machine, _PROCESS: maker.process},
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": NAME, "namespace": namespace, "labels": LABELS},
            "spec": {
                "selector": {"matchLabels": {"app": NAME}},
                "template": {
                    "metadata": {"labels": {"app": NAME, **LABELS}},
                    "spec": _pod_spec(image, words),
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "namespace": namespace, "labels": LABELS},
            "spec": {
                "type": "NodePort",
                "selector": {"app": NAME},
                "ports": [{"name": "http", "port": PORT, "targetPort": PAGE_PORT, "protocol": "TCP"}],
            },
        },
    )


def _pod_spec(image: str, words: Sequence[Mapping[str, Any]]) -> Object:
    """Return a pod that would pass the policy `restricted` and lands on its node whatever taints that has."""
    affinity = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": list(words)}]}
        }
    }
    return {
        **({"affinity": affinity} if words else {}),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _NOBODY,
            "runAsGroup": _NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": NAME,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["/bin/busybox", "sh", "-c", _SERVE],
                "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                "ports": [{"name": "http", "containerPort": PAGE_PORT, "protocol": "TCP"}],
                "readinessProbe": {"tcpSocket": {"port": PAGE_PORT}, "periodSeconds": 2},
                "resources": {
                    "requests": {"cpu": "10m", "memory": "16Mi"},
                    "limits": {"cpu": "200m", "memory": "32Mi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": "www", "mountPath": "/www"}],
            }
        ],
        "volumes": [{"name": "www", "emptyDir": {"sizeLimit": "1Mi"}}],
    }


def left_over(namespace: Mapping[str, Any], machine: str, now: datetime) -> bool:
    """Return whether the run that made a namespace lives no more."""
    metadata = namespace["metadata"]
    told = metadata.get("annotations") or {}
    if told.get(_MACHINE) and told.get(_MACHINE) == machine:
        return not process_lives(str(told.get(_PROCESS, "")))
    return now - datetime.fromisoformat(str(metadata["creationTimestamp"]).replace("Z", "+00:00")) > LONGEST_RUN


async def remove_left_over(api: Api, machine: str, now: datetime) -> tuple[str, ...]:
    """Delete the namespaces of runs that were killed, without waiting for them, and return their names."""
    found = await api.list("v1", "Namespace", labels=SELECTOR)
    names = [
        str(one["metadata"]["name"])
        for one in found
        if str(one["metadata"]["name"]).startswith(PREFIX)
        and not one["metadata"].get("deletionTimestamp")
        and left_over(one, machine, now)
    ]
    for name in names:
        await api.delete(_ref(name))
    return tuple(names)


async def create(api: Api, values: Sequence[Object]) -> Object:
    """Apply the objects in order and return the last of them, the Service, as the API has it."""
    made: Object = {}
    for value in values:
        made = await api.apply(value)
    return made


async def remove(api: Api, namespace: str, *, seconds: float = GONE_SECONDS, pause: float = 0.5) -> str:
    """Delete the namespace and wait until it is gone; return why it is not, "" where it is.

    Takes at most `seconds`, whatever the API does.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _removed(api, namespace, pause)
    except TimeoutError:
        return f"namespace {namespace} is not gone after {seconds:.0f} s"
    except ApiError as error:
        return f"namespace {namespace} could not be removed: {error}"


async def _removed(api: Api, namespace: str, pause: float) -> str:
    # The pods go first: a namespace that still holds some when it is deleted is looked at again only after a while.
    loop = asyncio.get_running_loop()
    await api.delete(Ref("apps/v1", "DaemonSet", namespace, NAME))
    force = loop.time() + FORCE_SECONDS
    while pods := await api.list("v1", "Pod", namespace):
        if loop.time() > force:
            force = loop.time() + FORCE_SECONDS
            for pod in pods:
                path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}"
                await api.raw("DELETE", path, query={"gracePeriodSeconds": "0"})
        await asyncio.sleep(pause)
    await api.delete(_ref(namespace))
    while await api.find(_ref(namespace)) is not None:
        await asyncio.sleep(pause)
    return ""


def _ref(namespace: str) -> Ref:
    return Ref("v1", "Namespace", "", namespace)
