"""Layers of settings merged into one, each value remembering who set it.

Maps merge, lists replace, None removes. Paths named as additive collect: their comma-separated texts or lists add up,
later layers after earlier ones, without repeats.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who set a value: the layer's name, and the place in a file where one is known ("" else)."""

    layer: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.layer} ({self.where})" if self.where else self.layer


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; `places` maps a path to the text "file:line" where it was written."""

    name: str
    values: Mapping[str, Any]
    places: Mapping[Path, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged values, and for every leaf (and every removed path) who decided it last."""

    values: dict[str, Any]
    origins: dict[Path, Origin]


def merged(layers: Iterable[Layer], additive: Collection[Path] = ()) -> Merged:
    """Merge layers, weakest first.

    A later layer's value replaces an earlier one's; an additive path joins texts by comma and lists by appending.
    """
    values: dict[str, Any] = {}
    origins: dict[Path, Origin] = {}
    for layer in layers:
        _merge_into(values, origins, layer, layer.values, (), frozenset(additive))
    return Merged(values, origins)


def _merge_into(
    into: dict[str, Any],
    origins: dict[Path, Origin],
    layer: Layer,
    values: Mapping[str, Any],
    at: Path,
    additive: frozenset[Path],
) -> None:
    for key, value in values.items():
        path = (*at, key)
        if value is None:
            into.pop(key, None)
            _forget(origins, path)
            origins[path] = Origin(layer.name, _place(layer, path))
        elif isinstance(value, Mapping):
            below = into.get(key)
            if not isinstance(below, dict):
                below = {}
                _forget(origins, path)
                into[key] = below
                if not value:
                    origins[path] = Origin(layer.name, _place(layer, path))
            _merge_into(below, origins, layer, value, path, additive)
        else:
            if isinstance(into.get(key), dict):
                _forget(origins, path)
            into[key] = _added(into.get(key), value) if path in additive else value
            origins[path] = Origin(layer.name, _place(layer, path))


def _added(old: Any, new: Any) -> Any:
    if old is None:
        return new
    as_list = isinstance(old, list)
    parts: list[Any] = []
    for side in (old, new):
        parts.extend(side if isinstance(side, list) else str(side).split(","))
    unique = list(dict.fromkeys(parts))
    return unique if as_list else ",".join(str(part) for part in unique)


def _forget(origins: dict[Path, Origin], path: Path) -> None:
    for known in [known for known in origins if known[: len(path)] == path]:
        del origins[known]


def _place(layer: Layer, path: Path) -> str:
    for length in range(len(path), 0, -1):
        if path[:length] in layer.places:
            return layer.places[path[:length]]
    return ""
