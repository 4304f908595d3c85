"""Where a value of the section `system` comes from: what it is, and which layer said so, where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from generator.components.view import View
from generator.errors import RenderError
from generator.render.flow import flow
from generator.spec.schema_fields import default_text, fields, model_of
from generator.spec.schema_system import SystemSpec
from generator.spec.sections_system import System
from generator.spec.structure import nearest

SYSTEM = "system"


def system_lines(view: View, part: str) -> list[str]:
    """Return lines for a part of the section, such as "time.servers", or for all that is written where it is "".

    Without host and pool, what pools and hosts have differently follows. Raises RenderError for a key that is none.
    """
    path = tuple(part.split(".")) if part else ()
    default = _default(view, path)
    lines = list(_lines(view.system, path))
    if view.pool is None:
        for name, system in _others(view):
            lines.extend(f"in {name}: {line}" for line in _lines(system, path, layer=name))
    if not lines:
        shown = ".".join((SYSTEM, *path))
        lines = [f"{shown}: set by no layer" + (f"; the default {default} holds" if default else "")]
    return lines


def _lines(system: System, path: tuple[str, ...], layer: str = "") -> Iterator[str]:
    for at, origin in sorted(system.origins.items()):
        if at[: len(path)] == path and layer in {"", origin.layer}:
            found, value = _value(system.written, at)
            shown = ".".join((SYSTEM, *at))
            yield f"{shown} = {flow(value)}: {origin}" if found else f"{shown}: removed by {origin}"


def _value(written: Mapping[str, Any], path: tuple[str, ...]) -> tuple[bool, Any]:
    value: Any = written
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return False, None
        value = value[key]
    return True, value


def _others(view: View) -> Iterator[tuple[str, System]]:
    for pool in view.cluster.pools.values():
        yield f"pool {pool.name}", pool.system
    told: set[str] = set()
    for host in view.cluster.hosts:
        for layer in sorted({origin.layer for origin in host.system.origins.values()}):
            if layer.startswith("host ") and layer not in told:
                told.add(layer)
                yield layer, host.system


def _default(view: View, path: tuple[str, ...]) -> str:
    """Return the default of a key as text, "" where it has none of its own."""
    model, text = SystemSpec, ""
    for depth, key in enumerate(path):
        known = dict(fields(model))
        if key not in known:
            if depth and path[depth - 1] in {"records", "moduleOptions"}:
                return ""
            near = nearest(key, known)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
            raise RenderError(f"{view.cluster.name}: {SYSTEM} has no {'.'.join(path)}; {hint}")
        text = default_text(known[key])
        below = model_of(known[key].annotation)
        if below is None:
            return "" if text == "null" else text
        model = below  # type: ignore[assignment]
    return ""
