"""An API server that keeps objects, behind the stand-in: enough of server-side apply to compare, prune and refuse.

An apply lays its fields over what is there and takes away those that the same manager applied before and no longer
does; `defaults` are laid under each object of a kind, as an API server does. `refuse` answers a request in its place.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from fleet.channel import Channel
from fleet.endpoints import Endpoint
from fleet.kube import Api, Ref, ref_of
from fleet.tls import client_context
from tests.fleet.api_stand_in import Pki, Reply, Seen, plain_stream, stand_in

KINDS: Mapping[str, tuple[tuple[str, str, bool], ...]] = {
    "v1": (
        ("Namespace", "namespaces", False),
        ("Node", "nodes", False),
        ("ConfigMap", "configmaps", True),
        ("Secret", "secrets", True),
        ("ServiceAccount", "serviceaccounts", True),
        ("Service", "services", True),
        ("Pod", "pods", True),
        ("Event", "events", True),
        ("PersistentVolumeClaim", "persistentvolumeclaims", True),
    ),
    "apps/v1": (
        ("Deployment", "deployments", True),
        ("ReplicaSet", "replicasets", True),
        ("DaemonSet", "daemonsets", True),
        ("StatefulSet", "statefulsets", True),
    ),
    "batch/v1": (("Job", "jobs", True),),
    "rbac.authorization.k8s.io/v1": (
        ("ClusterRole", "clusterroles", False),
        ("ClusterRoleBinding", "clusterrolebindings", False),
        ("Role", "roles", True),
    ),
    "apiextensions.k8s.io/v1": (("CustomResourceDefinition", "customresourcedefinitions", False),),
    "apiregistration.k8s.io/v1": (("APIService", "apiservices", False),),
}

Value = dict[str, Any]


class ObjectStore:
    """The objects of a cluster by what names them; `asked` are the requests that wrote something."""

    def __init__(self, *objects: Value) -> None:
        self.objects: dict[Ref, Value] = {}
        self.asked: list[str] = []
        self.bodies: list[str] = []
        self.refuse: Callable[[Seen], Reply | None] = lambda seen: None
        self.no_apply: frozenset[str] = frozenset()
        self._applied: dict[Ref, Value] = {}
        self._count = 0
        for value in objects:
            self.put(value)

    def put(self, value: Value) -> Value:
        """Put an object there as some other program would."""
        ref = ref_of(value)
        self._count += 1
        metadata = {"uid": f"uid-{self._count}", **value["metadata"], "resourceVersion": str(self._count)}
        self.objects[ref] = {**copy.deepcopy(value), "metadata": metadata}
        return self.objects[ref]

    def get(self, kind: str, name: str, namespace: str = "") -> Value:
        """Return an object that must be there."""
        return next(
            value
            for ref, value in self.objects.items()
            if (ref.kind, ref.name, ref.namespace) == (kind, name, namespace)
        )

    def answer(self, seen: Seen) -> Reply:
        """Answer one request."""
        refused = self.refuse(seen)
        if refused is not None:
            return refused
        parts = urlsplit(seen.target)
        query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        words = [unquote(word) for word in parts.path.strip("/").split("/")]
        version, rest = (words[1], words[2:]) if words[0] == "api" else ("/".join(words[1:3]), words[3:])
        if words[0] == "apis" and len(words) == 2:
            versions = [{"groupVersion": one} for one in KINDS if one.startswith(f"{words[1]}/")]
            return _json({"versions": versions}) if versions else refusal(404, "not found")
        if version not in KINDS:
            return refusal(404, "the server could not find the requested resource")
        if not rest:
            entries = [{"name": plural, "kind": kind, "namespaced": spaced} for kind, plural, spaced in KINDS[version]]
            return _json({"resources": entries})
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        kind = next(kind for kind, plural, _ in KINDS[version] if plural == rest[0])
        if len(rest) == 1:
            if seen.method == "POST":
                return self._write("POST", ref_of(json.loads(seen.body)), seen, query)
            return _json({"items": list(self._chosen(version, kind, namespace, query))})
        return self._write(seen.method, Ref(version, kind, namespace, rest[1]), seen, query)

    def _chosen(self, version: str, kind: str, namespace: str, query: Mapping[str, str]) -> Iterable[Value]:
        labels = [one.partition("=")[::2] for one in query.get("labelSelector", "").split(",") if one]
        fields = [one.partition("=")[::2] for one in query.get("fieldSelector", "").split(",") if one]
        for ref, value in sorted(self.objects.items()):
            if (ref.api_version, ref.kind) != (version, kind) or (namespace and ref.namespace != namespace):
                continue
            own = value["metadata"].get("labels") or {}
            if any(own.get(key) != wanted for key, wanted in labels):
                continue
            if all(_at(value, key) == wanted for key, wanted in fields):
                yield value

    def _write(self, method: str, ref: Ref, seen: Seen, query: Mapping[str, str]) -> Reply:
        live = self.objects.get(ref)
        if method == "GET":
            return refusal(404, "not found") if live is None else _json(live)
        if method in {"DELETE", "PUT"} and live is None:
            return refusal(404, "not found")
        if method == "POST" and live is not None:
            return refusal(409, "already exists")
        body = json.loads(seen.body) if seen.body else {}
        if (
            method == "PUT"
            and live is not None
            and body["metadata"].get("resourceVersion") != (live["metadata"]["resourceVersion"])
        ):
            return refusal(409, "the object has been modified")
        dry = "dryRun" in query
        if not dry:
            self.asked.append(f"{method} {ref}")
            self.bodies.append(seen.body.decode())
        if method == "DELETE":
            del self.objects[ref]
            return _json({})
        if method == "PATCH":
            if ref.kind in self.no_apply:
                return Reply(status=500, hang_up=True)
            before = self._applied.get(ref, {})
            after = _merged(_without(live or {}, before, body), body)
            if live is not None and _plain(live) == _plain(after):
                return _json(live)
            if not dry:
                self._applied[ref] = body
        else:
            after = body
        if dry:
            return _json({**after, "metadata": {**after["metadata"], "resourceVersion": "0"}})
        return _json(self.put(after))


Run = Callable[[Callable[[Api], Coroutine[Any, Any, Any]]], Any]
"""What the fixture `run` is: it gives an action a client of the stand-in."""


def refusal(status: int, message: str, reason: str = "") -> Reply:
    """A refusal as an API server words it."""
    return Reply(status, json.dumps({"kind": "Status", "message": message, "reason": reason}).encode())


def with_store(pki: Pki, folder: Path, store: ObjectStore, action: Callable[[Api], Coroutine[Any, Any, Any]]) -> Any:
    """Run an action with a client of a stand-in that answers from a store."""

    async def main() -> Any:
        context = client_context(pki.pem, pki.client("slipway:tester@here"))
        async with stand_in(pki.server_context(folder), store.answer) as running:
            endpoint = Endpoint("cp1", "127.0.0.1", running.port, lambda: plain_stream(running.port))
            api = Api(Channel("demo", [endpoint], lambda: context))
            try:
                return await action(api)
            finally:
                await api.close()

    return asyncio.run(main())


def _json(value: object) -> Reply:
    return Reply(body=json.dumps(value).encode())


def _at(value: Mapping[str, Any], path: str) -> str:
    found: Any = value
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return str(found)


def _merged(under: Any, over: Any) -> Any:
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        return {**under, **{key: _merged(under.get(key), part) for key, part in over.items()}}
    return over


def _without(live: Any, before: Any, now: Any) -> Any:
    """What is there without the fields that were applied before and are applied no more."""
    if not (isinstance(live, Mapping) and isinstance(before, Mapping) and isinstance(now, Mapping)):
        return live
    gone = {key for key in before if key not in now}
    return {
        key: _without(part, before.get(key), now.get(key)) if key in before else part
        for key, part in live.items()
        if key not in gone
    }


def _plain(value: Mapping[str, Any]) -> Any:
    noise = {"uid", "resourceVersion"}
    return {**value, "metadata": {key: part for key, part in value["metadata"].items() if key not in noise}}
