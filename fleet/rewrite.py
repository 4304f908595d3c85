"""Writes every object of the encrypted resources back unchanged, so that etcd holds all of them under the present key.

An API server that reads a value of another key than the one that writes counts it as stale, and then stores it anew
even when nothing in it changes (k8s.io/apiserver, storage/value prefixTransformers and etcd3 GuaranteedUpdate; the
way of https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/). One that lies under the present key already
is not written, so a run that was broken off is simply started again.

Values pass through memory only: messages name objects, statuses and reasons, never what the API says about content.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fleet.kube import FIELD_MANAGER, Api, Object, Resource
from generator.errors import ApiError, RefusedError

PAGE = 250
AT_ONCE = 8
"""Requests at a time: an API server's own limit for changes is 200 by default, and the cluster keeps working."""
_TRIES = 6
_SHOWN = 20
_NEEDED = frozenset({"list", "get", "update"})
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a rewrite did: objects written back by resource, and how many were gone before their turn came."""

    objects: Mapping[str, int]
    gone: int

    @property
    def total(self) -> int:
        """How many objects were written back."""
        return sum(self.objects.values())


async def rewrite(api: Api, resources: Sequence[str], progress: Progress, *, dry_run: bool = False) -> Rewritten:
    """Write back all objects of resources as an EncryptionConfiguration names them; returns the counts.

    `dry_run` only counts. Raises ApiError where the API fails, RefusedError that names objects which the API did not
    take back: until they are, their values lie under an older key.
    """
    counts: dict[str, int] = {}
    gone = 0
    refused: list[str] = []
    for name, resource in await covered(api, resources):
        run = _Resource(api, resource, name, progress, dry_run)
        await run.all()
        counts[name], gone = run.written, gone + run.gone
        refused.extend(run.refused)
    if refused:
        more = f"\n  … and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        shown = "\n".join(f"  {line}" for line in refused[:_SHOWN])
        raise RefusedError(
            f"{api.cluster}: the API did not take back {len(refused)} objects, which still lie under an older key:\n"
            f"{shown}{more}\nput them right (a webhook that refuses them, a field that is no more valid) or delete "
            "them, then run this again"
        )
    return Rewritten(counts, gone)


async def covered(api: Api, resources: Sequence[str]) -> list[tuple[str, Resource]]:
    """Return what the entries of an EncryptionConfiguration cover, by name as it writes them ("deployments.apps").

    `*.` is the whole core group, `*.apps` one group, `*.*` everything (Kubernetes 1.27 and newer). Groups that another
    server answers for (APIService with a service) lie in no etcd of ours. Raises ApiError for a resource that the
    cluster does not serve.
    """
    found: dict[str, Resource] = {}
    groups = await _groups(api) if any(entry.partition(".")[2] for entry in resources) else {}
    for entry in resources:
        plural, _, group = entry.partition(".")
        wanted = ["", *groups] if entry == "*.*" else [group]
        for one in wanted:
            if one and one not in groups:
                continue
            for resource in await _served(api, groups[one] if one else "v1"):
                if plural in {"*", resource.plural}:
                    found[f"{resource.plural}.{one}" if one else resource.plural] = resource
        if plural != "*" and entry not in found:
            raise ApiError(
                f"{api.cluster}: kube-apiserver: it serves no {entry} that can be written, which encryption.resources "
                "names; apply its definition or take it out of the spec",
                404,
                "NotFound",
            )
    return sorted(found.items())


class _Resource:
    """All objects of one resource, page by page, a few at a time."""

    def __init__(self, api: Api, resource: Resource, name: str, progress: Progress, dry_run: bool) -> None:
        self._api = api
        self._resource = resource
        self._name = name
        self._progress = progress
        self._dry_run = dry_run
        self.written = 0
        self.gone = 0
        self.refused: list[str] = []

    async def all(self) -> None:
        query = {"limit": str(PAGE)}
        while True:
            page = await self._page(query)
            items = page.get("items") or []
            await self._some(
                [{"apiVersion": self._resource.api_version, "kind": self._resource.kind, **i} for i in items]
            )
            told = page.get("metadata", {})
            left = int(told.get("remainingItemCount") or 0)
            self._progress(f"{self._name}: {self.written} done" + (f", {left} to go" if left else ""))
            if not told.get("continue"):
                return
            query = {"limit": str(PAGE), "continue": str(told["continue"])}

    async def _page(self, query: Mapping[str, str]) -> Object:
        path, about = self._resource.path(), f"list {self._name}"
        answer = await self._api.raw("GET", path, query=query)
        if answer.status == 410 and "continue" in query:
            # The token of a slow run has expired. The API offers one that goes on with the state of now (KEP-365):
            # what came or changed meanwhile was written under the present key.
            going_on = _mapping(answer.body).get("metadata", {}).get("continue")
            if going_on:
                return await self._api.call("GET", path, about, query={**query, "continue": str(going_on)})
        if answer.status == 200:
            return _mapping(answer.body)
        # Asked once more for the words of the refusal.
        return await self._api.call("GET", path, about, query=query)

    async def _some(self, items: Sequence[Object]) -> None:
        if self._dry_run:
            self.written += len(items)
            return
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(item: Object) -> None:
            async with slots:
                await self._write_back(item)

        ended = await asyncio.gather(*map(one, items), return_exceptions=True)
        for outcome in ended:
            if outcome is not None:
                raise outcome

    async def _write_back(self, item: Object) -> None:
        """PUT an object as it was read; a conflict reads it again, one that is gone needs nothing."""
        metadata = item["metadata"]
        path = self._resource.path(metadata.get("namespace", ""), metadata["name"])
        about = f"{self._resource.kind} {'/'.join(filter(None, (metadata.get('namespace'), metadata['name'])))}"
        first = metadata.get("resourceVersion")
        for attempt in range(_TRIES):
            answer = await self._api.raw("PUT", path, query={"fieldManager": FIELD_MANAGER}, body=item)
            if answer.status == 409:
                await asyncio.sleep(0.05 * attempt)
                answer = await self._api.raw("GET", path)
                if answer.status == 200:
                    item = _mapping(answer.body)
                    continue
            if answer.status == 404:
                self.gone += 1
            elif 200 <= answer.status < 300:
                self.written += 1
            elif answer.status in {401, 503}:
                raise ApiError(
                    f"{self._api.cluster}: kube-apiserver: {about} cannot be written back (HTTP status "
                    f"{answer.status}); see that the API servers are ready and run this again",
                    answer.status,
                )
            else:
                self.refused.append(f"{about}: HTTP status {answer.status} {_reason(answer.body)}".rstrip())
            return
        # Somebody writes it all the time: what was read last is newer than the beginning, so under the present key.
        if item["metadata"].get("resourceVersion") != first:
            self.written += 1
        else:
            self.refused.append(f"{about}: HTTP status 409 Conflict")


async def _groups(api: Api) -> Mapping[str, str]:
    """Return the preferred version of each group that the cluster's own API servers answer for."""
    listed = await api.call("GET", "/apis", "discover groups")
    services = await api.list("apiregistration.k8s.io/v1", "APIService")
    elsewhere = {str(one["spec"].get("group", "")) for one in services if one["spec"].get("service")}
    return {
        str(group["name"]): str(group["preferredVersion"]["groupVersion"])
        for group in listed.get("groups") or []
        if group["name"] not in elsewhere
    }


async def _served(api: Api, api_version: str) -> list[Resource]:
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    document = await api.call("GET", root, f"discover {api_version}")
    return [
        Resource(api_version, entry["kind"], entry["name"], bool(entry["namespaced"]), frozenset(entry["verbs"]))
        for entry in document.get("resources") or []
        if "/" not in entry["name"] and _NEEDED.issubset(entry.get("verbs") or ())
    ]


def _mapping(body: bytes) -> Object:
    value = json.loads(body)
    return value if isinstance(value, dict) else {}


def _reason(body: bytes) -> str:
    """Return the API's one word for a refusal; its message may quote what it refused."""
    try:
        word = str(_mapping(body).get("reason", ""))
    except ValueError:
        return ""
    return word if word.isalnum() else ""
