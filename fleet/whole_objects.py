"""Kinds that are written whole, since their server cannot apply them: today the APIService.

Its server (kube-aggregator in kube-apiserver) keeps no field managers before Kubernetes 1.21, and an apply makes the
handler panic there. So ours is compared here with what is there, and created or replaced with its resourceVersion.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.kube import Api, Object, Ref, ref_of
from fleet.object_diff import same
from fleet.object_sets import is_ours
from generator.errors import ApiError

_TRIES = 3
"""How often a write is tried that another one came before: the server's own controller writes conditions."""


def is_whole(ref: Ref) -> bool:
    """Return whether objects of a kind are written whole."""
    return (ref.group, ref.kind) == ("apiregistration.k8s.io", "APIService")


async def write_whole(api: Api, value: Object, live: Object | None, *, dry_run: bool) -> Object:
    """Create or replace an object and return what it is then; with `dry_run` nothing is sent.

    Raises ApiError (409) where it is there, differs, and is not Slipway's.
    """
    ref, tries = ref_of(value), 0
    while True:
        after = value if live is None else _laid_over(value, live)
        if live is not None and not is_ours(live) and not same(live, after):
            raise not_ours(api.cluster, ref, "its spec")
        if dry_run:
            return after
        tries += 1
        try:
            return await (api.create(value) if live is None else api.replace(after))
        except ApiError as error:
            if error.status != 409 or tries == _TRIES:
                raise
        live = await api.find(ref)


def not_ours(cluster: str, ref: Ref, what: str) -> ApiError:
    """Return the error about an object of somebody else that has other values than the rendered one."""
    return ApiError(
        f"{cluster}: kube-apiserver: {ref} exists, is not Slipway's and has other values ({what}); "
        "delete it, or take it out of the rendered objects",
        409,
        "Conflict",
    )


def _laid_over(value: Object, live: Object) -> Object:
    """Return the live object with our labels and annotations added, and with our spec alone."""
    metadata: dict[str, Any] = dict(live["metadata"])
    for key in ("labels", "annotations"):
        ours = value["metadata"].get(key)
        if ours:
            metadata[key] = {**(metadata.get(key) or {}), **ours}
    return {**live, "metadata": metadata, "spec": _with_defaults(value.get("spec") or {})}


def _with_defaults(spec: Mapping[str, Any]) -> Object:
    """Return a spec as the server shows it: it fills in the port of the Service and leaves out what is false."""
    kept = {key: part for key, part in spec.items() if part is not False}
    service = spec.get("service")
    return {**kept, "service": {"port": 443, **service}} if isinstance(service, Mapping) else kept
