"""Secrets among the rendered objects: which values they leave out, and how these are put in on the way to the API.

A rendered Secret names what it leaves out in its annotation, a line for each key: `<data key> <secret> <id>`. The
annotation goes to the API with the object, so whether a value is the right one is seen by its id: plan and diff open
nothing. Only where such a Secret is really written are the values opened, in memory.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleet.kube import Object, ref_of
from fleet.secrets import SecretStore
from generator.errors import ApiError, StaleTreeError

ANNOTATION = "slipway.io/secrets"
NOT_SHOWN = "(not shown)"
_STAND_IN = base64.b64encode(b"{}").decode()
"""Stands for a value that nobody has opened; JSON, since the API reads registry credentials as such."""
_LONG_ENOUGH = 6


@dataclass(frozen=True, slots=True)
class Slot:
    """A key of a Secret whose value is left out: the name of what belongs there, and its id."""

    key: str
    secret: str
    id: str


def slots(value: Mapping[str, Any]) -> tuple[Slot, ...]:
    """Return what an object leaves out, nothing for what is no Secret; raises StaleTreeError for other lines."""
    if value.get("kind") != "Secret":
        return ()
    found: list[Slot] = []
    for line in str((value.get("metadata", {}).get("annotations") or {}).get(ANNOTATION) or "").splitlines():
        words = line.split()
        if len(words) != 3:
            raise StaleTreeError(f"{ref_of(value)}: its annotation {ANNOTATION} is not as render writes it")
        found.append(Slot(*words))
    return tuple(found)


def as_planned(value: Object, live: Mapping[str, Any] | None) -> Object:
    """Return an object as an apply would make it, nothing opened: a value that is there under its id stays."""
    left_out = slots(value)
    if not left_out:
        return value
    try:
        known = set(slots(live or {}))
    except StaleTreeError:
        known = set()
    there = (live or {}).get("data") or {}
    data = dict(value.get("data") or {})
    for slot in left_out:
        data[slot.key] = there[slot.key] if slot in known and slot.key in there else _STAND_IN
    return {**value, "data": data}


async def filled(value: Object, store: SecretStore | None, cluster: str) -> Object:
    """Return an object with the values that it leaves out; raises SealingError or PkiError where one is not to be had.

    Beside the event loop, in which the lock is renewed: the identity may ask for a passphrase.
    """
    left_out = slots(value)
    if not left_out:
        return value
    if store is None:
        raise ApiError(f"{cluster}: {ref_of(value)} needs sealed secrets, which this verb does not open; run an apply")
    data = dict(value.get("data") or {})
    for slot in left_out:
        opened = await asyncio.to_thread(store.value, slot.secret, slot.id)
        data[slot.key] = base64.b64encode(opened).decode()
    return {**value, "data": data}


def masked(error: ApiError, *objects: Mapping[str, Any] | None) -> ApiError:
    """Return an error without any value of Secrets among the objects: admission and the server quote what they like."""
    text = str(error)
    for value in sorted(_values(objects), key=len, reverse=True):
        if len(value) >= _LONG_ENOUGH:
            text = text.replace(value, NOT_SHOWN)
        else:
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", NOT_SHOWN, text)
    return error if text == str(error) else ApiError(text, error.status, error.reason)


def _values(objects: tuple[Mapping[str, Any] | None, ...]) -> set[str]:
    """Return every value of the Secrets among objects, as it stands there and decoded, whole and line by line."""
    found: set[str] = set()
    for value in objects:
        if value is None or value.get("kind") != "Secret":
            continue
        found.update(str(one) for one in (value.get("stringData") or {}).values())
        for one in map(str, (value.get("data") or {}).values()):
            if one == _STAND_IN:
                continue
            found.add(one)
            try:
                found.add(base64.b64decode(one, validate=True).decode("utf-8"))
            except (binascii.Error, ValueError):
                continue
    return {part.strip() for one in found for part in (one, *one.splitlines())} - {""}
