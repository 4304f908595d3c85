"""Which kinds of object each set has ever had, kept in the API itself, so that what left it can be found.

The ConfigMap kube-system/slipway-objects has one key per set with lines `Kind.group` (`ConfigMap.` for the core
group). It is written before an apply, with the kinds that come, and after it, without those that went; a run that
dies in between loses nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from fleet.kube import Api, Ref

RECORD = Ref("v1", "ConfigMap", "kube-system", "slipway-objects")

GroupKind = tuple[str, str]
Record = dict[str, frozenset[GroupKind]]


async def read_record(api: Api) -> Record:
    """Return the kinds of every recorded set; empty where nothing has been applied yet."""
    found = await api.find(RECORD)
    return {} if found is None else {name: _parsed(text) for name, text in (found.get("data") or {}).items()}


async def write_record(
    api: Api, old: Mapping[str, frozenset[GroupKind]], new: Mapping[str, Collection[GroupKind]]
) -> None:
    """Record the kinds of all sets where they are not what is recorded; a set without kinds is forgotten."""
    wanted = {name: frozenset(kinds) for name, kinds in new.items() if kinds}
    if wanted == dict(old):
        return
    await api.apply(
        {
            "apiVersion": RECORD.api_version,
            "kind": RECORD.kind,
            "metadata": {"name": RECORD.name, "namespace": RECORD.namespace},
            "data": {name: _written(kinds) for name, kinds in sorted(wanted.items())},
        },
        force=True,
    )


def _parsed(text: str) -> frozenset[GroupKind]:
    pairs = (line.partition(".") for line in text.split())
    return frozenset((group, kind) for kind, _, group in pairs)


def _written(kinds: Collection[GroupKind]) -> str:
    return "".join(f"{kind}.{group}\n" for group, kind in sorted(kinds))
