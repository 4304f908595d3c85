"""What is known of each set in the API itself: which kinds of object it has ever had, and whether it has rolled out.

The ConfigMap kube-system/slipway-objects has one key per set with lines `Kind.group` (`ConfigMap.` for the core
group). It is written before an apply, with the kinds that come, and after it, without those that went; a run that
dies in between loses nothing. An annotation names the sets that were changed and have not passed their gates since.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from fleet.kube import Api, Ref

RECORD = Ref("v1", "ConfigMap", "kube-system", "slipway-objects")
UNFINISHED = "slipway.io/unfinished"

GroupKind = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Record:
    """The kinds of every set by its name, and the sets whose gates are still to be passed."""

    kinds: Mapping[str, frozenset[GroupKind]] = field(default_factory=dict)
    unfinished: frozenset[str] = frozenset()

    def of(self, name: str) -> frozenset[GroupKind]:
        """Return the kinds of one set."""
        return self.kinds.get(name, frozenset())

    def with_kinds(self, kinds: Mapping[str, Collection[GroupKind]]) -> Record:
        """Return the record with other kinds for some sets; a set without kinds is forgotten."""
        merged = {**self.kinds, **{name: frozenset(some) for name, some in kinds.items()}}
        kept = {name: some for name, some in merged.items() if some}
        return Record(kept, self.unfinished & frozenset(kept))

    def begun(self, name: str) -> Record:
        """Return the record with a set that has changed and has yet to pass its gates."""
        return replace(self, unfinished=self.unfinished | {name})

    def finished(self, names: Collection[str]) -> Record:
        """Return the record with sets that have passed their gates."""
        return replace(self, unfinished=self.unfinished - frozenset(names))


async def read_record(api: Api) -> Record:
    """Return what is recorded; nothing where nothing has been applied yet."""
    found = await api.find(RECORD)
    if found is None:
        return Record()
    annotations = found["metadata"].get("annotations") or {}
    kinds = {name: _parsed(text) for name, text in (found.get("data") or {}).items()}
    return Record(kinds, frozenset(str(annotations.get(UNFINISHED) or "").split()))


async def write_record(api: Api, old: Record, new: Record) -> None:
    """Write the record where it is not what is recorded."""
    if new == old:
        return
    await api.apply(
        {
            "apiVersion": RECORD.api_version,
            "kind": RECORD.kind,
            "metadata": {
                "name": RECORD.name,
                "namespace": RECORD.namespace,
                "annotations": {UNFINISHED: " ".join(sorted(new.unfinished))},
            },
            "data": {name: _written(kinds) for name, kinds in sorted(new.kinds.items())},
        },
        force=True,
    )


def _parsed(text: str) -> frozenset[GroupKind]:
    pairs = (line.partition(".") for line in text.split())
    return frozenset((group, kind) for kind, _, group in pairs)


def _written(kinds: Collection[GroupKind]) -> str:
    return "".join(f"{kind}.{group}\n" for group, kind in sorted(kinds))
