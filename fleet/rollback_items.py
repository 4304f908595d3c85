"""What a host had in an earlier generation, read from the manifest that it has kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from fleet.generations import slots_from
from fleet.inventory import Host
from fleet.items import KINDS, Item, Kind
from generator.errors import RefusedError

_WORDS = 12


def earlier_host(cluster: str, host: Host, generation: str, lines: Sequence[Sequence[str]]) -> Host:
    """Return a host with the items of an earlier generation, contents known by their digests alone.

    Raises RefusedError where the lines are no manifest, or not that of the generation.
    """
    try:
        items = tuple(sorted(map(item_of, lines), key=lambda item: (KINDS.index(item.kind), item.key)))
    except (ValueError, IndexError) as error:
        raise RefusedError(
            f"{cluster}/{host.name}: the manifest kept of generation {generation[:12]} is not understood ({error}); "
            "revert the commit and run `invoke apply` instead"
        ) from None
    found = replace(host, items=items)
    if found.digest != generation:
        # An older Slipway did not write down which member of an archive a binary is, and the digest counts it.
        members = {item.path: item.member for item in host.items if item.kind == "binary"}
        found = replace(
            host, items=tuple(replace(item, member=item.member or members.get(item.path, "")) for item in items)
        )
    if found.digest != generation:
        raise RefusedError(
            f"{cluster}/{host.name}: the manifest kept of generation {generation[:12]} is not the one that was applied "
            "(an older Slipway has written it, or somebody has changed it); revert the commit and run `invoke apply` "
            "instead"
        )
    return found


def item_of(words: Sequence[str]) -> Item:
    """Return the item of one line of a manifest; raises ValueError for a line that is none."""
    if len(words) != _WORDS or not (words[0] in KINDS and words[1]):
        raise ValueError(f"{len(words)} words: {' '.join(words)[:80]}")
    line_kind, key, mode, owner, group, phase, component, content_id, blob, extra, restarts, reloads = (
        "" if word == "-" else word for word in words
    )
    # A text with slots is a secret to the host's scripts; its blob is named after its content, a key's is not.
    kind = cast(Kind, "file" if line_kind == "secret" and blob == content_id else line_kind)
    item = Item(
        kind=kind,
        key=key,
        component=component,
        phase=phase,
        path=key if key.startswith("/") else "",
        name="" if key.startswith("/") else key.partition(":")[2],
        mode=int(mode, 8),
        owner=owner,
        group=group,
        restarts=tuple(filter(None, restarts.split(","))),
        reloads=tuple(filter(None, reloads.split(","))),
    )
    match line_kind:
        case "file":
            return replace(item, recorded_id=content_id)
        case "secret" if kind == "file":
            return replace(item, recorded_id=content_id, secrets=dict(slots_from(extra)) or {"": ""})
        case "secret":
            return replace(item, id=content_id)
        case "link":
            return replace(item, target=extra)
        case "binary":
            return replace(item, sha256=content_id, member=extra)
        case "user":
            return replace(item, groups=tuple(filter(None, extra.split(","))))
        case "unit":
            return replace(item, start=extra != "idle", drain_key=content_id)
    return item
