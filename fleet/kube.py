"""A small client of the Kubernetes API: plain dictionaries, server-side apply, and every refusal an ApiError.

Works with Kubernetes 1.20 and newer (server-side apply is on by default since 1.18, certificates.k8s.io/v1 since
1.19). Paths of kinds come from the server's own discovery, so objects of custom resources need nothing here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from fleet.api_refusals import advice
from fleet.channel import Channel
from fleet.http11 import Answer
from generator.errors import ApiError

FIELD_MANAGER = "slipway"
PAGE = 500
SECONDS = 30.0
"""How long a request is tried while no API server can be reached or all are busy."""

Object = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """What names one object; `namespace` is "" where the kind has none."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def group(self) -> str:
        """The API group, "" for the core group."""
        return self.api_version.rpartition("/")[0]

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def ref_of(value: Mapping[str, Any]) -> Ref:
    """Return what names an object that carries apiVersion, kind and metadata."""
    metadata = value.get("metadata", {})
    return Ref(value["apiVersion"], value["kind"], metadata.get("namespace", "") or "", metadata["name"])


@dataclass(frozen=True, slots=True)
class Resource:
    """How the server serves a kind: its name in paths, whether in namespaces, and the verbs that it knows."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the path of the collection, one object or one of its subresources."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        within = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        parts = [quote(part, safe=":") for part in (self.plural, name, subresource) if part]
        return "/".join([root + within, *parts])


class Api:
    """The API of one cluster over a channel; safe for several tasks at once."""

    def __init__(self, channel: Channel, *, seconds: float = SECONDS) -> None:
        self._channel = channel
        self._seconds = seconds
        self._served: dict[str, dict[str, Resource]] = {}

    @property
    def cluster(self) -> str:
        """The name of the cluster, for messages."""
        return self._channel.cluster

    @property
    def channel(self) -> Channel:
        """What carries its requests, for what is no plain request (`fleet.exec_stream`)."""
        return self._channel

    async def close(self) -> None:
        """Close the connections."""
        await self._channel.close()

    async def raw(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object | None = None,
        content_type: str = "application/json",
        wait_busy: bool = True,
        seconds: float | None = None,
    ) -> Answer:
        """Return the answer to any request, whatever its status; raises ApiError where no server answers."""
        target = f"{path}?{urlencode(query)}" if query else path
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": content_type} if data else {}
        limit = self._seconds if seconds is None else seconds
        return await self._channel.request(method, target, headers, data, seconds=limit, wait_busy=wait_busy)

    async def call(
        self,
        method: str,
        path: str,
        about: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object | None = None,
        content_type: str = "application/json",
        wait_busy: bool = True,
    ) -> Object:
        """Return the JSON object of a successful answer; raises ApiError with status and reason for any other."""
        answer = await self.raw(method, path, query=query, body=body, content_type=content_type, wait_busy=wait_busy)
        value = _json(answer.body)
        if not 200 <= answer.status < 300:
            raise self._refusal(method, about, answer.status, value)
        if value is None:
            raise ApiError(
                f"{self.cluster}: kube-apiserver: {about}: the answer is no JSON object; check who answers there"
            )
        return value

    async def resource(self, api_version: str, kind: str) -> Resource:
        """Return how the server serves a kind; raises ApiError (404, NotFound) where it does not.

        A kind that is missing is asked for once more, since a custom resource may just have been defined.
        """
        for fresh in (False, True):
            kinds = await self._kinds(api_version, fresh=fresh)
            if kind in kinds:
                return kinds[kind]
        other = await self.served_version(api_version.rpartition("/")[0], kind)
        todo = f"write {other}" if other else "apply its definition first, or the program that serves it"
        raise ApiError(
            f"{self.cluster}: kube-apiserver: it does not serve kind {kind} in {api_version}; {todo}", 404, "NotFound"
        )

    async def served_version(self, group: str, kind: str) -> str | None:
        """Return an apiVersion in which the server serves a kind of a group, the preferred one first, or None."""
        if group == "":
            versions = ["v1"]
        else:
            answer = await self.raw("GET", f"/apis/{group}")
            value = _json(answer.body) or {}
            found = [entry["groupVersion"] for entry in value.get("versions", [])]
            preferred = value.get("preferredVersion", {}).get("groupVersion")
            versions = sorted(found, key=lambda version: version != preferred)
        for version in versions:
            if kind in await self._kinds(version, fresh=False):
                return version
        return None

    async def get(self, ref: Ref) -> Object:
        """Return an object; raises ApiError, with status 404 where there is none."""
        resource = await self.resource(ref.api_version, ref.kind)
        return await self.call("GET", resource.path(ref.namespace, ref.name), f"get {ref}")

    async def find(self, ref: Ref) -> Object | None:
        """Return an object, or None where it or its kind does not exist."""
        try:
            return await self.get(ref)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list(
        self, api_version: str, kind: str, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """Return all objects of a kind that selectors choose, fetched in pages; apiVersion and kind are filled in."""
        resource = await self.resource(api_version, kind)
        path, about = resource.path(namespace), f"list {resource.plural}"
        base = {key: value for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}
        found: list[Object] = []
        query = {**base, "limit": str(PAGE)}
        while True:
            try:
                page = await self.call("GET", path, about, query=query)
            except ApiError as error:
                # A continue token lives for minutes only; the list is then read again in one piece.
                if error.status != 410 or "limit" not in query:
                    raise
                found, query = [], dict(base)
                continue
            found.extend({"apiVersion": api_version, "kind": kind, **item} for item in page.get("items") or [])
            following = page.get("metadata", {}).get("continue")
            if not following:
                return found
            query = {**base, "limit": str(PAGE), "continue": following}

    async def apply(self, value: Mapping[str, Any], *, dry_run: bool = False, force: bool = False) -> Object:
        """Apply an object on the server's side as field manager slipway and return what it is then.

        Raises ApiError with status 409 and reason Conflict where somebody else holds a field, unless forced.
        """
        ref = ref_of(value)
        resource = await self.resource(ref.api_version, ref.kind)
        query = {"fieldManager": FIELD_MANAGER}
        if force:
            query["force"] = "true"
        if dry_run:
            query["dryRun"] = "All"
        path = resource.path(ref.namespace, ref.name)
        # JSON is YAML; the API server accepts it under this media type in every version.
        return await self.call(
            "PATCH", path, f"apply {ref}", query=query, body=value, content_type="application/apply-patch+yaml"
        )

    async def create(self, value: Mapping[str, Any]) -> Object:
        """Create an object that is not there; raises ApiError with status 409 where it is."""
        ref = ref_of(value)
        resource = await self.resource(ref.api_version, ref.kind)
        path, query = resource.path(ref.namespace), {"fieldManager": FIELD_MANAGER}
        return await self.call("POST", path, f"create {ref}", query=query, body=value)

    async def merge_patch(self, ref: Ref, patch: Mapping[str, Any], subresource: str = "") -> Object:
        """Change an object by a JSON merge patch (RFC 7386) and return what it is then."""
        resource = await self.resource(ref.api_version, ref.kind)
        path = resource.path(ref.namespace, ref.name, subresource)
        query = {"fieldManager": FIELD_MANAGER}
        return await self.call(
            "PATCH", path, f"patch {ref}", query=query, body=patch, content_type="application/merge-patch+json"
        )

    async def replace(self, value: Mapping[str, Any], subresource: str = "") -> Object:
        """Replace an object or a subresource (approval); its resourceVersion guards against a change in between."""
        ref = ref_of(value)
        resource = await self.resource(ref.api_version, ref.kind)
        path = resource.path(ref.namespace, ref.name, subresource)
        return await self.call("PUT", path, f"update {ref}", query={"fieldManager": FIELD_MANAGER}, body=value)

    async def post(self, ref: Ref, subresource: str, value: Mapping[str, Any], *, wait_busy: bool = True) -> Object:
        """Create a subresource such as an eviction."""
        resource = await self.resource(ref.api_version, ref.kind)
        path = resource.path(ref.namespace, ref.name, subresource)
        return await self.call("POST", path, f"{subresource} of {ref}", body=value, wait_busy=wait_busy)

    async def delete(self, ref: Ref, uid: str = "") -> bool:
        """Delete an object and what depends on it; return False where it was not there (or has another uid)."""
        resource = await self.resource(ref.api_version, ref.kind)
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self.call("DELETE", resource.path(ref.namespace, ref.name), f"delete {ref}", body=options)
        except ApiError as error:
            if error.status == 404 or (uid and error.status == 409):
                return False
            raise
        return True

    async def ready(self) -> bool:
        """Return whether the API server that answers says that it is ready."""
        return (await self.raw("GET", "/readyz", wait_busy=False)).status == 200

    async def _kinds(self, api_version: str, *, fresh: bool) -> Mapping[str, Resource]:
        if fresh or api_version not in self._served:
            root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            answer = await self.raw("GET", root)
            value = _json(answer.body)
            if answer.status == 404:
                self._served[api_version] = {}
            elif answer.status != 200 or value is None:
                raise self._refusal("GET", f"discover {api_version}", answer.status, value)
            else:
                self._served[api_version] = _resources(api_version, value.get("resources") or [])
        return self._served[api_version]

    def _refusal(self, method: str, about: str, status: int, value: Mapping[str, Any] | None) -> ApiError:
        told = value if value is not None and value.get("kind") == "Status" else {}
        reason = str(told.get("reason") or _REASONS.get(status, ""))
        said = str(
            told.get("message") or ("an answer that is no JSON" if status == 200 else f"HTTP status {status}")
        ).rstrip(". ")
        return ApiError(f"{self.cluster}: kube-apiserver: {about}: {said}; {advice(status, said)}", status, reason)


_REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 422: "Invalid"}


def _resources(api_version: str, entries: Sequence[Mapping[str, Any]]) -> dict[str, Resource]:
    return {
        entry["kind"]: Resource(
            api_version, entry["kind"], entry["name"], bool(entry["namespaced"]), frozenset(entry.get("verbs") or ())
        )
        for entry in entries
        if "/" not in entry["name"]
    }


def _json(data: bytes) -> Object | None:
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
