"""The objects engine: rendered sets against the API. Unchanged objects are never written, what left a set is deleted.

What would change is asked of the server itself (server-side apply with dryRun=All) and compared with what is there, so
that defaults and field ownership count as the server sees them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Literal

from fleet.admin import ADMINS
from fleet.kube import Api, Object, Ref, ref_of
from fleet.object_diff import overlaid, same, text_diff
from fleet.object_record import GroupKind, read_record, write_record
from fleet.object_sets import SET_LABEL, ObjectSet, binds_group, is_ours
from generator.errors import ApiError

Action = Literal["create", "change", "delete", "note"]
DEFINITION_SECONDS = 60.0
"""How long a new kind may take until the API serves it."""

_AT_ONCE = 8
_KEPT = frozenset({"Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim"})
"""Kinds whose deletion takes with it what Slipway never applied; a person deletes those."""
_RECREATED = frozenset({"ClusterRoleBinding", "RoleBinding"})
"""Kinds with a field (roleRef) that the API never changes in place."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One object that an apply would change; `note` names what it leaves alone. `diff`: ± lines, or the reason."""

    set_name: str
    ref: Ref
    action: Action
    diff: tuple[str, ...] = ()


async def differences(api: Api, one: ObjectSet) -> tuple[Difference, ...]:
    """Return what applying a set would change, in its order, then what it would delete. Nothing is written."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def compared(value: Object) -> Difference | None:
        async with gate:
            return await _difference(api, one.name, value)

    found = await asyncio.gather(*(compared(value) for value in one.objects))
    gone = await _gone(api, one.name, one.refs, (await read_record(api)).get(one.name, frozenset()))
    return (*(entry for entry in found if entry is not None), *gone)


async def apply_set(
    api: Api,
    one: ObjectSet,
    *,
    seconds: float = DEFINITION_SECONDS,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    told: Callable[[Difference], None] = lambda _: None,
) -> tuple[Difference, ...]:
    """Apply what differs, delete what left the set, and return both; raises ApiError at the first refusal.

    `told` hears of each object as soon as it is applied or deleted.
    """
    record = await read_record(api)
    kinds = frozenset((ref.group, ref.kind) for ref in one.refs)
    changes = await differences(api, one)
    before = {**record, one.name: record.get(one.name, frozenset()) | kinds}
    await write_record(api, record, before)
    wanted = {change.ref: change for change in changes if change.action in ("create", "change")}
    for change in changes:
        if change.action == "note" and change.ref in one.refs:
            raise ApiError(f"{api.cluster}: kube-apiserver: {change.ref}: {' '.join(change.diff)}", 409, "Conflict")
    deadline = time.monotonic() + seconds
    for value in one.objects:
        if ref_of(value) in wanted:
            await _apply_served(api, one, value, deadline, sleep)
            told(wanted[ref_of(value)])
    await _delete(api, changes)
    for change in changes:
        if change.ref not in wanted:
            told(change)
    await write_record(api, before, {**before, one.name: kinds | _kept_kinds(changes)})
    return changes


async def orphan_differences(api: Api, sets: Collection[str]) -> tuple[Difference, ...]:
    """Return the objects of recorded sets that the rendered tree no longer has."""
    found: list[Difference] = []
    for name, kinds in sorted((await read_record(api)).items()):
        if name not in sets:
            found.extend(await _gone(api, name, (), kinds))
    return tuple(found)


async def delete_orphans(api: Api, sets: Collection[str]) -> tuple[Difference, ...]:
    """Delete the objects of sets that the tree no longer has, last set first, and forget the sets."""
    record = await read_record(api)
    changes = tuple(reversed(await orphan_differences(api, sets)))
    await _delete(api, changes)
    kept = {name: _kept_kinds([change for change in changes if change.set_name == name]) for name in record}
    await write_record(api, record, {name: kinds if name in sets else kept[name] for name, kinds in record.items()})
    return changes


async def unaccepted(api: Api, one: ObjectSet) -> tuple[str, ...]:
    """Return what of a set the API does not have as rendered, in words; nothing when the gate `accepted` is open."""
    missing = [f"{change.ref} is not as rendered" for change in await differences(api, one) if change.action != "note"]
    for ref in one.refs:
        if ref.kind in _CONDITION:
            live = await api.find(ref)
            conditions = ((live or {}).get("status") or {}).get("conditions") or ()
            wanted = _CONDITION[ref.kind]
            if not any(entry.get("type") == wanted and entry.get("status") == "True" for entry in conditions):
                missing.append(f"{ref} is not {wanted.lower()} yet")
    return tuple(missing)


_CONDITION = {"CustomResourceDefinition": "Established", "APIService": "Available"}


async def _difference(api: Api, set_name: str, value: Object) -> Difference | None:
    ref = ref_of(value)
    live = await api.find(ref)
    if live is None:
        return Difference(set_name, ref, "create", text_diff(None, value))
    try:
        after = await _applied(api, value, live, dry_run=True)
    except ApiError as error:
        if error.status == 403:
            after = {**overlaid(live, value)}  # credentials that may only read
        elif error.status == 422 and ref.kind in _RECREATED:
            return Difference(set_name, ref, "change", text_diff(live, value))
        elif error.status == 409:
            return Difference(set_name, ref, "note", (str(error),))
        else:
            raise
    return None if same(live, after) else Difference(set_name, ref, "change", text_diff(live, after))


async def _applied(api: Api, value: Object, live: Object | None, *, dry_run: bool) -> Object:
    """Apply; a field that somebody changed in an object of ours is taken back, an object of others is left to them."""
    try:
        return await api.apply(value, dry_run=dry_run)
    except ApiError as error:
        if error.status != 409 or live is None:
            raise
        if is_ours(live):
            return await api.apply(value, dry_run=dry_run, force=True)
        raise ApiError(
            f"{api.cluster}: kube-apiserver: {ref_of(value)} exists, is not Slipway's and has other values "
            f"({_conflicts(error)}); delete it, or take it out of the rendered objects",
            409,
            "Conflict",
        ) from None


async def _apply_served(
    api: Api, one: ObjectSet, value: Object, deadline: float, sleep: Callable[[float], Awaitable[None]]
) -> None:
    """Apply one object; where its kind is defined in the same set, wait until the API serves it."""
    ref = ref_of(value)
    defined = any(other.kind == "CustomResourceDefinition" for other in one.refs)
    while True:
        try:
            live = await api.find(ref)
            await _applied(api, value, live, dry_run=False)
            return
        except ApiError as error:
            if error.status == 422 and ref.kind in _RECREATED and live is not None:
                await _recreate(api, value, live)
                return
            if error.status != 404 or not defined or time.monotonic() >= deadline:
                raise
        await sleep(0.5)


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


async def _gone(
    api: Api, set_name: str, refs: Collection[Ref], recorded: Collection[GroupKind]
) -> tuple[Difference, ...]:
    """Return what carries the set's label and is not in it, of the recorded kinds and of its present ones."""
    wanted = {(ref.group, ref.kind, ref.namespace, ref.name) for ref in refs}
    found: list[Difference] = []
    for group, kind in sorted({*recorded, *((ref.group, ref.kind) for ref in refs)}):
        version = await api.served_version(group, kind)
        if version is None:
            continue
        try:
            listed = await api.list(version, kind, labels=f"{SET_LABEL}={set_name}")
        except ApiError as error:
            if error.status in (403, 404, 405):
                continue
            raise
        for live in listed:
            ref = ref_of(live)
            if (group, kind, ref.namespace, ref.name) in wanted:
                continue
            if kind in _KEPT:
                why = "it left the rendered objects; it is kept, since what is in it would go too; delete it by hand"
                found.append(Difference(set_name, ref, "note", (why,)))
            else:
                found.append(Difference(set_name, ref, "delete"))
    return tuple(found)


async def _delete(api: Api, changes: Collection[Difference]) -> None:
    for change in changes:
        if change.action == "delete":
            await api.delete(change.ref)


def _kept_kinds(changes: Collection[Difference]) -> frozenset[GroupKind]:
    return frozenset((change.ref.group, change.ref.kind) for change in changes if change.action == "note")


def _conflicts(error: ApiError) -> str:
    said = str(error).split(": ", 3)[-1]
    return said.rsplit(";", 1)[0]
