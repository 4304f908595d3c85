"""The cluster as its API shows it: each API server's own health, nodes, and requests for certificates."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleet import csr
from fleet.cluster_client import OperatorApi
from fleet.cluster_record import Recorded, read
from fleet.connection import printable
from fleet.kube import Api
from fleet.nodes import CLIENT_SIGNER, not_ready_because
from fleet.object_record import read_record
from generator.errors import ApiError, HostError

SECONDS = 10.0
"""How long one API server may take to answer."""
_FAILED = re.compile(r"^\[-\](\S+)(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Health:
    """Whether one program on one host says that it is healthy; `failed` names its own checks that are not."""

    host: str
    component: str
    trouble: str = ""
    failed: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether it answers that it is."""
        return not self.trouble


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the API; `not_ready` in the kubelet's words, "" where it is Ready."""

    name: str
    not_ready: str
    version: str
    cordoned: bool


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a certificate that was not granted. `state`: pending, denied or failed; `age` in seconds.

    `reason` is why it is not approved, "" for one that only waits its turn.
    """

    name: str
    signer: str
    user: str
    state: str
    reason: str
    age: float


@dataclass(frozen=True, slots=True)
class ApiFacts:
    """What the API told; `unseen` says why nothing could be asked, `trouble` why an answer did not come.

    `applied`: the last apply that went through all phases, as it stands in the API; None where none does.
    """

    servers: tuple[Health, ...] = ()
    nodes: tuple[Node, ...] = ()
    requests: tuple[Request, ...] = ()
    trouble: str = ""
    unseen: str = ""
    applied: Recorded | None = None
    unfinished: tuple[str, ...] = ()


async def look(api: OperatorApi, listed: Mapping[str, str], now: datetime) -> ApiFacts:
    """Return what the API servers tell; one that is silent is among `servers`, and only a whole silence is trouble."""
    servers = await asyncio.gather(*(_server(host, one) for host, one in api.servers().items()))
    found: dict[str, tuple[Any, ...]] = {}
    trouble, applied = "", None
    if not any(server.good for server in servers):
        # Through a load balancer named by a kubeconfig there may still be a way.
        try:
            async with asyncio.timeout(SECONDS):
                await api.api.list("v1", "Node")
        except (ApiError, TimeoutError) as error:
            return ApiFacts(tuple(servers), trouble=str(error) or f"no answer within {SECONDS:.0f} s")
    try:
        found["nodes"] = tuple(node_from(one) for one in await api.api.list("v1", "Node"))
        requests = await api.api.list("certificates.k8s.io/v1", "CertificateSigningRequest")
        found["requests"] = tuple(filter(None, (request_from(one, listed, now) for one in requests)))
        applied, found["unfinished"] = await _records(api.api)
    except (ApiError, HostError, TimeoutError) as error:
        trouble = str(error)
    return ApiFacts(
        tuple(servers),
        found.get("nodes", ()),
        found.get("requests", ()),
        trouble,
        applied=applied,
        unfinished=found.get("unfinished", ()),
    )


async def _records(api: Api) -> tuple[Recorded | None, tuple[str, ...]]:
    """Return the last apply and the sets that nobody has seen run; neither where a kubeconfig may not read them."""
    try:
        return await read(api), tuple(sorted((await read_record(api)).unfinished))
    except ApiError as error:
        if error.status == 403:
            return None, ()
        raise


async def _server(host: str, api: Api) -> Health:
    try:
        async with asyncio.timeout(SECONDS):
            answer = await api.raw("GET", "/readyz", query={"verbose": "true"}, wait_busy=False, seconds=SECONDS / 2)
    except (ApiError, HostError, OSError, TimeoutError) as error:
        return Health(host, "kube-apiserver", printable(str(error)) or "no answer in time")
    finally:
        await api.close()
    return readiness(host, answer.status, answer.body.decode("utf-8", "replace"))


def readiness(host: str, status: int, body: str) -> Health:
    """Return what an answer to /readyz?verbose says; the checks that fail are the lines that begin with [-]."""
    if status == 200:
        return Health(host, "kube-apiserver")
    failed = tuple(printable(name) for name, _ in _FAILED.findall(body))
    return Health(host, "kube-apiserver", f"it answers {status} on /readyz", failed)


def node_from(node: Mapping[str, Any]) -> Node:
    """Return a node from its object."""
    return Node(
        name=printable(str(node["metadata"]["name"])),
        not_ready=printable(not_ready_because(node)),
        version=printable(str(node.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", ""))),
        cordoned=bool(node.get("spec", {}).get("unschedulable", False)),
    )


def request_from(request: Mapping[str, Any], listed: Mapping[str, str], now: datetime) -> Request | None:
    """Return a request that waits or was refused, None for one that was granted; `listed` are the reviewed nodes."""
    spec, status = request.get("spec", {}), request.get("status", {})
    conditions = {str(one.get("type")): one for one in status.get("conditions") or ()}
    signer = printable(str(spec.get("signerName", "")))
    if refused := next((conditions[kind] for kind in ("Denied", "Failed") if kind in conditions), None):
        state = str(refused["type"]).lower()
        said = f"{refused.get('reason', '')}: {refused.get('message', '')}".strip(": ")
        reason = printable(said) or "nobody wrote down why"
    elif "Approved" in conditions:
        if status.get("certificate"):
            return None
        state, reason = "pending", ""
    else:
        state, reason = "pending", _why_pending(request, signer, listed)
    return Request(
        printable(str(request["metadata"]["name"])),
        signer,
        printable(str(spec.get("username", ""))),
        state,
        reason,
        _age(str(request["metadata"].get("creationTimestamp", "")), now),
    )


def _why_pending(request: Mapping[str, Any], signer: str, listed: Mapping[str, str]) -> str:
    if signer == csr.SIGNER:
        return csr.refusal(request, listed)
    if signer == CLIENT_SIGNER:
        return ""
    return f"nobody here approves requests for {signer}; do it by hand or delete it"


def _age(created: str, now: datetime) -> float:
    try:
        return max(0.0, (now - datetime.fromisoformat(created)).total_seconds())
    except ValueError:
        return 0.0


def folded_requests(requests: Sequence[Request]) -> list[tuple[str, str, str, list[Request]]]:
    """Return requests by state, user and reason: a kubelet that is refused asks again and again."""
    groups: dict[tuple[str, str, str], list[Request]] = {}
    for one in requests:
        groups.setdefault((one.state, one.user, one.reason), []).append(one)
    return [(*key, sorted(some, key=lambda one: one.name)) for key, some in sorted(groups.items())]
