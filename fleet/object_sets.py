"""Object sets as rendered: folders of objects/ with an index.yaml that says in which order they are applied."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fleet.kube import Object, Ref, ref_of
from generator.errors import StaleTreeError

SET_LABEL = "slipway.io/set"
"""Marks every object that Slipway applies; its value is the folder. Render writes it into the objects themselves."""


@dataclass(frozen=True, slots=True)
class ObjectSet:
    """One folder of objects, in the order of its index."""

    name: str
    objects: tuple[Object, ...]

    @property
    def refs(self) -> tuple[Ref, ...]:
        """What names its objects, in order."""
        return tuple(ref_of(value) for value in self.objects)


def load_set(rendered_dir: Path, name: str) -> ObjectSet:
    """Read one set; raises StaleTreeError where index and files are not as render writes them."""
    folder = rendered_dir / "objects" / name
    where = f"{rendered_dir.name}/objects/{name}"
    try:
        index = yaml.load((folder / "index.yaml").read_bytes(), Loader=_LOADER)["objects"]
        objects: list[Object] = []
        for entry in index:
            value = yaml.load((folder / entry["file"]).read_bytes(), Loader=_LOADER)
            wanted = Ref(entry["apiVersion"], entry["kind"], entry.get("namespace", ""), entry["name"])
            if ref_of(value) != wanted:
                raise StaleTreeError(
                    f"{where}/{entry['file']}: it is not the {wanted} of the index; run `invoke render`"
                )
            objects.append(_labelled(value, name))
    except (OSError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise StaleTreeError(f"{where}: it is not as render writes it ({error}); run `invoke render`") from None
    return ObjectSet(name, tuple(objects))


def is_ours(live: Mapping[str, Any]) -> bool:
    """Return whether an object of the API carries the label of a set, and so is Slipway's to overwrite."""
    return SET_LABEL in (live.get("metadata", {}).get("labels") or {})


def binds_group(objects: Collection[Object], group: str) -> Object | None:
    """Return the ClusterRoleBinding among objects that binds a group, or None."""
    for value in objects:
        if value["kind"] == "ClusterRoleBinding" and any(
            subject.get("kind") == "Group" and subject.get("name") == group for subject in value.get("subjects") or ()
        ):
            return value
    return None


def _labelled(value: Object, name: str) -> Object:
    # Pruning goes by the label, so a set without it would never be cleaned up.
    labels = value["metadata"].get("labels") or {}
    if labels.get(SET_LABEL) != name:
        raise KeyError(f"{ref_of(value)} has no label {SET_LABEL}: {name}")
    return value


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
