"""overrides.yaml: what the spec sets otherwise than Slipway's defaults and is in force, a line each, with its layer.

It names the place in the spec by its path, not by its line: an entry added above it would change the line of each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from generator.formats.natural import natural_order
from generator.render.flow import flow
from generator.render.inventory import HEADER
from generator.spec.flag_policy import additive_flags
from generator.spec.model import Cluster, ExtraFile, Host, Override

OVERRIDES_FILE = "overrides.yaml"

_WORDS = """\
# Flags, unit and config of components and files of the user's own that are in force, as cluster, pools and hosts set
# them; `path` is below that layer in the spec. What a later layer replaces everywhere is in force nowhere.
"""

Leaf = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    layer: str
    hosts: tuple[str, ...]
    path: str
    value: Any


def overrides_text(cluster: Cluster, components: Mapping[str, Collection[str]]) -> str:
    """Return overrides.yaml; `components` says what the hosts of each pool run."""
    found = sorted(
        {(line.layer, line.hosts, line.path, flow(line.value)): line for line in _lines(cluster, components)}.values(),
        key=_order,
    )
    if not found:
        return HEADER.format(cluster=cluster.name) + _WORDS + "overrides: []\n"
    lines = [f"- {flow(_entry(line))}" for line in found]
    return HEADER.format(cluster=cluster.name) + _WORDS + "\n".join(["overrides:", *lines]) + "\n"


_LAYERS = ("cluster", "pool", "hosts")


def _order(line: _Line) -> tuple[Any, ...]:
    return _LAYERS.index(line.layer.partition(" ")[0]), natural_order(line.layer), line.path, line.hosts


def _entry(line: _Line) -> dict[str, Any]:
    hosts = {"hosts": list(line.hosts)} if line.hosts else {}
    return {"layer": line.layer, **hosts, "path": line.path, "value": line.value}


def _lines(cluster: Cluster, components: Mapping[str, Collection[str]]) -> Iterator[_Line]:
    in_force: dict[tuple[str, str], Any] = {}
    own: dict[tuple[str, str], tuple[Any, list[str]]] = {}
    for host in _kinds_of_host(cluster):
        layers = (
            ("cluster", _leaves(cluster.components, cluster.files)),
            (f"pool {host.pool.name}", _leaves(host.pool.components, host.pool.files)),
            ("hosts", _leaves(host.components, host.files)),
        )
        running = components.get(host.pool.name, ())
        for at, (layer, leaves) in enumerate(layers):
            later = [key for _, other in layers[at + 1 :] for key in other]
            for leaf, value in leaves.items():
                if leaf[0] != "files" and leaf[1] not in running:
                    continue
                if any(_replaces(other, leaf) for other in later):
                    continue
                path = ".".join(leaf)
                if layer == "hosts":
                    own.setdefault((path, flow(value)), (value, []))[1].append(host.name)
                else:
                    in_force[layer, path] = value
    for (layer, path), value in in_force.items():
        yield _Line(layer, (), path, value)
    for (path, _), (value, names) in own.items():
        yield _Line("hosts", tuple(sorted(names, key=natural_order)), path, value)


def _kinds_of_host(cluster: Cluster) -> Iterator[Host]:
    """Yield every host with overrides of its own, and of the others one of each pool: they see the same."""
    seen: set[str] = set()
    for host in sorted(cluster.hosts, key=lambda host: host.name):
        if host.components or host.files:
            yield host
        elif host.pool.name not in seen:
            seen.add(host.pool.name)
            yield host


def _leaves(components: Mapping[str, Override], files: tuple[ExtraFile, ...]) -> dict[Leaf, Any]:
    found: dict[Leaf, Any] = {}
    for name, override in components.items():
        kinds = {
            "flags": override.flags, "unsafeFlags": override.unsafe_flags, "unit": override.unit,
            "config": override.config,
        }  # fmt: skip
        for kind, values in kinds.items():
            found.update(_below(values, ("components", name, kind)))
    found.update({("files", one.path): f"mode {one.mode:04o}" for one in files})
    return found


def _below(values: Mapping[str, Any], at: Leaf) -> Iterator[tuple[Leaf, Any]]:
    for key, value in values.items():
        here = (*at, str(key))
        if isinstance(value, Mapping) and value:
            yield from _below(value, here)
        else:
            yield here, value


def _replaces(later: Leaf, leaf: Leaf) -> bool:
    """Return whether what a later layer sets leaves nothing of an earlier one: it is the same, above it or below it."""
    one, other = _one_kind(later), _one_kind(leaf)
    if leaf[0] == "components" and other[2] == "flags" and leaf[3] in {"feature-gates", *additive_flags(leaf[1])}:
        return False
    short = min(len(one), len(other))
    return one[:short] == other[:short]


def _one_kind(leaf: Leaf) -> Leaf:
    return tuple("flags" if at == 2 and part == "unsafeFlags" else part for at, part in enumerate(leaf))
