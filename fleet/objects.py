"""The objects engine: rendered sets against the API. Unchanged objects are never written, what left a set is deleted.

What would change is asked of the server itself (server-side apply with dryRun=All) and compared with what is there, so
that defaults and field ownership count as the server sees them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from fleet.admin import ADMINS
from fleet.api_refusals import is_refusal, lacks_right, reason_of
from fleet.deletions import deletion_words
from fleet.kube import Api, Object, Ref, ref_of
from fleet.object_diff import overlaid, same, text_diff
from fleet.object_prune import Action, Difference, delete, delete_orphans, gone, kept_kinds, orphan_differences
from fleet.object_record import read_record, write_record
from fleet.object_secrets import as_planned, filled, masked
from fleet.object_sets import ObjectSet, binds_group, is_ours
from fleet.secrets import SecretStore
from fleet.whole_objects import is_whole, not_ours, write_whole
from generator.errors import ApiError

__all__ = [
    "Action", "Difference", "Means", "apply_set", "delete_orphans", "differences", "orphan_differences", "unaccepted",
]  # fmt: skip

DEFINITION_SECONDS = 60.0
"""How long a new kind may take until the API serves it."""

_AT_ONCE = 8
_RECREATED = frozenset({"ClusterRoleBinding", "RoleBinding"})
"""Kinds with a field (roleRef) that the API never changes in place."""


@dataclass(frozen=True)
class Means:
    """What an apply of a set works with beside the API: the sealed secrets, its patience, and who hears of objects.

    `told` hears of each object as soon as it is applied or deleted.
    """

    store: SecretStore | None = None
    seconds: float = DEFINITION_SECONDS
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    told: Callable[[Difference], None] = field(default=lambda _: None)


async def differences(
    api: Api, one: ObjectSet, elsewhere: Collection[Ref] = (), *, strict: bool = False
) -> tuple[Difference, ...]:
    """Return what applying a set would change, in its order, then what it would delete. Nothing is written.

    An object that the server refuses is among them with the reason, so that one does not hide the others; with `strict`
    it is an ApiError. `elsewhere` are objects of other sets of the tree.
    """
    gate = asyncio.Semaphore(_AT_ONCE)

    async def compared(value: Object) -> Difference | None:
        async with gate:
            return await _difference(api, one.name, value, strict=strict)

    found = await asyncio.gather(*(compared(value) for value in one.objects))
    left = await gone(api, one.name, one.refs, (await read_record(api)).of(one.name), elsewhere)
    return (*(entry for entry in found if entry is not None), *left)


async def apply_set(
    api: Api, one: ObjectSet, elsewhere: Collection[Ref] = (), means: Means | None = None
) -> tuple[Difference, ...]:
    """Apply what differs, delete what left the set, and return both; raises ApiError at the first refusal."""
    means = means or Means()
    record = await read_record(api)
    kinds = frozenset((ref.group, ref.kind) for ref in one.refs)
    changes = await differences(api, one, elsewhere, strict=True)
    wanted = {change.ref: change for change in changes if change.action in ("create", "change")}
    before = record.with_kinds({one.name: record.of(one.name) | kinds})
    before = before.begun(one.name) if wanted else before
    # What cannot be opened is told before the first object is written.
    ready = [await filled(value, means.store, api.cluster) for value in one.objects if ref_of(value) in wanted]
    await write_record(api, record, before)
    deadline = time.monotonic() + means.seconds
    for value in ready:
        await _apply_served(api, one, value, deadline, means)
        means.told(wanted[ref_of(value)])
    await delete(api, changes)
    for change in changes:
        if change.ref not in wanted:
            means.told(change)
    await write_record(api, before, before.with_kinds({one.name: kinds | kept_kinds(changes)}))
    return changes


async def unaccepted(api: Api, one: ObjectSet, elsewhere: Collection[Ref] = ()) -> tuple[str, ...]:
    """Return what of a set the API does not have as rendered, in words; nothing when the gate `accepted` is open."""
    found = await differences(api, one, elsewhere, strict=True)
    missing = [f"{change.ref} is not as rendered" for change in found if change.action != "note"]
    for ref in one.refs:
        if ref.kind == "CustomResourceDefinition":
            live = await api.find(ref)
            conditions = ((live or {}).get("status") or {}).get("conditions") or ()
            if not any(entry.get("type") == "Established" and entry.get("status") == "True" for entry in conditions):
                refused = [entry for entry in conditions if entry.get("type") == "NamesAccepted"]
                why = "".join(f": {entry.get('message')}" for entry in refused if entry.get("status") == "False")
                missing.append(f"{ref} is not established yet{why}")
    return tuple(missing)


async def _difference(api: Api, set_name: str, value: Object, *, strict: bool) -> Difference | None:
    ref = ref_of(value)
    try:
        live = await api.find(ref)
    except ApiError as error:
        if strict or ref.kind != "Secret" or not lacks_right(error):
            raise
        return Difference(set_name, ref, "note", ("these credentials may not read it, so it is not compared",))
    planned = as_planned(value, live)
    if live is None:
        return Difference(set_name, ref, "create", text_diff(None, planned))
    try:
        if words := deletion_words(live):
            raise ApiError(f"{api.cluster}: kube-apiserver: {ref}: {words}", 409, "Conflict")
        after = await _applied(api, planned, live, dry_run=True)
    except ApiError as error:
        if lacks_right(error):
            after = {**overlaid(live, planned)}  # credentials that may only read
        elif error.status == 422 and ref.kind in _RECREATED:
            return Difference(set_name, ref, "change", text_diff(live, value))
        elif strict or not is_refusal(error):
            raise masked(error, live, planned) from None
        else:
            return Difference(set_name, ref, "refused", (reason_of(masked(error, live, planned)),))
    return None if same(live, after) else Difference(set_name, ref, "change", text_diff(live, after))


async def _applied(api: Api, value: Object, live: Object | None, *, dry_run: bool) -> Object:
    """Apply; a field that somebody changed in an object of ours is taken back, an object of others is left to them."""
    if is_whole(ref_of(value)):
        return await write_whole(api, value, live, dry_run=dry_run)
    try:
        return await api.apply(value, dry_run=dry_run)
    except ApiError as error:
        if error.status != 409 or live is None:
            raise
        if is_ours(live):
            return await api.apply(value, dry_run=dry_run, force=True)
        raise not_ours(api.cluster, ref_of(value), _conflicts(error)) from None


async def _apply_served(api: Api, one: ObjectSet, value: Object, deadline: float, means: Means) -> None:
    """Apply one object; where its kind is defined in the same set, wait until the API serves it."""
    ref = ref_of(value)
    defined = any(other.kind == "CustomResourceDefinition" for other in one.refs)
    while True:
        live: Object | None = None
        try:
            live = await api.find(ref)
            await _applied(api, value, live, dry_run=False)
            return
        except ApiError as error:
            if error.status == 422 and ref.kind in _RECREATED and live is not None:
                await _recreate(api, value, live)
                return
            if error.status != 404 or not defined or time.monotonic() >= deadline:
                raise masked(error, live, value) from None
        await means.sleep(0.5)


async def _recreate(api: Api, value: Object, live: Object) -> None:
    ref = ref_of(value)
    if binds_group([live], ADMINS) is not None:
        # Whoever deletes the binding from which the own rights come cannot make it again.
        raise ApiError(
            f"{api.cluster}: kube-apiserver: {ref} gives Slipway its rights, and its roleRef cannot be changed; "
            "delete it with other credentials, then run again",
            422,
            "Invalid",
        )
    await api.delete(ref, uid=str(live["metadata"]["uid"]))
    await api.apply(value)


def _conflicts(error: ApiError) -> str:
    said = str(error).split(": ", 3)[-1]
    return said.rsplit(";", 1)[0]
