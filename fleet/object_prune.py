"""What left the rendered objects: found by its label and the record of kinds, deleted in the reverse order of kinds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fleet.kind_order import deletion_order
from fleet.kube import Api, Ref, ref_of
from fleet.object_record import GroupKind, read_record, write_record
from fleet.object_sets import SET_LABEL
from generator.errors import ApiError

Action = Literal["create", "change", "delete", "note", "refused"]

_KEPT = frozenset({"Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim"})
"""Kinds whose deletion takes with it what Slipway never applied; a person deletes those."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One object that an apply would change. `diff`: ± lines, or the reason.

    `note` names what it leaves alone, `refused` what the API would not take as rendered, so that an apply would fail.
    """

    set_name: str
    ref: Ref
    action: Action
    diff: tuple[str, ...] = ()


async def gone(
    api: Api,
    set_name: str,
    refs: Collection[Ref],
    recorded: Collection[GroupKind],
    elsewhere: Collection[Ref] = (),
) -> tuple[Difference, ...]:
    """Return what carries the set's label and is not in it, of the recorded kinds and of its present ones.

    What another set of the tree has (`elsewhere`) has moved, and is that set's to change. Cluster-scoped objects and
    those of every namespace are found alike. In the order of deletion.
    """
    wanted = {_identity(ref) for ref in (*refs, *elsewhere)}
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
            if _identity(ref) not in wanted:
                found.append(_leaving(set_name, ref, live))
    return tuple(sorted(found, key=lambda one: deletion_order(one.ref)))


async def orphan_differences(
    api: Api, sets: Collection[str], elsewhere: Collection[Ref] = ()
) -> tuple[Difference, ...]:
    """Return the objects of recorded sets that the rendered tree no longer has, last set first."""
    found: list[Difference] = []
    for name, kinds in sorted((await read_record(api)).kinds.items(), reverse=True):
        if name not in sets:
            found.extend(await gone(api, name, (), kinds, elsewhere))
    return tuple(found)


async def delete_orphans(api: Api, sets: Collection[str], elsewhere: Collection[Ref] = ()) -> tuple[Difference, ...]:
    """Delete the objects of sets that the tree no longer has, last set first, and forget the sets."""
    record = await read_record(api)
    changes = await orphan_differences(api, sets, elsewhere)
    await delete(api, changes)
    left = {
        name: kept_kinds([change for change in changes if change.set_name == name])
        for name in record.kinds
        if name not in sets
    }
    await write_record(api, record, record.with_kinds(left))
    return changes


async def delete(api: Api, changes: Collection[Difference]) -> None:
    """Delete what is to be deleted, in the order given."""
    for change in changes:
        if change.action == "delete":
            await api.delete(change.ref)


def kept_kinds(changes: Collection[Difference]) -> frozenset[GroupKind]:
    """Return the kinds of what is named and kept: it must still be found by the next run."""
    return frozenset((change.ref.group, change.ref.kind) for change in changes if change.action == "note")


def _leaving(set_name: str, ref: Ref, live: Mapping[str, Any]) -> Difference:
    if live.get("metadata", {}).get("deletionTimestamp"):
        return Difference(set_name, ref, "note", ("it left the rendered objects and is being deleted already",))
    if ref.kind in _KEPT:
        why = "it left the rendered objects; it is kept, since what is in it would go too; delete it by hand"
        return Difference(set_name, ref, "note", (why,))
    return Difference(set_name, ref, "delete")


def _identity(ref: Ref) -> tuple[str, str, str, str]:
    return ref.group, ref.kind, ref.namespace, ref.name
