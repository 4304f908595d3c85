"""Flags, unit and config of a component after its layers: default < minor table < cluster < pool < host."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from generator.formats.merge import Layer, Origin, Path, merged
from generator.spec.model import Override

DEFAULT_LAYER = "component default"


@dataclass(frozen=True, slots=True)
class Settings:
    """Resolved settings; `origins` maps ("flags", "v"), ("unit", "Service", "Nice"), ("config", …) to who set it."""

    flags: Mapping[str, Any] = field(default_factory=dict)
    unit: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[Path, Origin] = field(default_factory=dict)


def resolved(
    overrides: Iterable[tuple[str, Override]],
    *,
    flags: Mapping[str, Any] | None = None,
    unit: Mapping[str, Mapping[str, Any]] | None = None,
    config: Mapping[str, Any] | None = None,
    table: Layer | None = None,
    additive_flags: Collection[str] = (),
) -> Settings:
    """Merge a component's defaults, its table for the minor and the layers of the spec.

    `table` has the same shape as an override: {"flags": …, "unit": …, "config": …}. Flags written under unsafeFlags
    come last within their layer.
    """
    layers = [Layer(DEFAULT_LAYER, {"flags": flags or {}, "unit": unit or {}, "config": config or {}})]
    if table is not None:
        layers.append(table)
    for name, override in overrides:
        places = {path: f"{source.file}:{source.line}" for path, source in override.sources.items()}
        places |= {("flags", *path[1:]): place for path, place in places.items() if path[0] == "unsafeFlags"}
        values = {
            "flags": {**override.flags, **override.unsafe_flags},
            "unit": _in_order(override.unit),
            "config": override.config,
        }
        layers.append(Layer(name, values, places))
    result = merged(layers, additive={("flags", flag) for flag in additive_flags})
    return Settings(result.values["flags"], result.values["unit"], result.values["config"], result.origins)


def _in_order(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Sort what a layer adds to a unit, since the order in which people write keys must not change a byte."""
    return {
        name: dict(sorted(keys.items())) if isinstance(keys, Mapping) else keys
        for name, keys in sorted(sections.items())
    }
