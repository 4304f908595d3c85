"""Where a value comes from: for a flag, config field, unit key or file, what it is and which layer said so, where."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from generator.components.registry import COMPONENTS
from generator.components.settings import Settings
from generator.components.view import Component, View
from generator.errors import RenderError
from generator.formats.flags import flag_text
from generator.formats.merge import Origin
from generator.pki.request_material import RequestMaterial
from generator.render.explain_system import SYSTEM, system_lines
from generator.render.flow import flow
from generator.render.whereabouts import file_lines
from generator.spec import flag_policy, flag_tables, load
from generator.spec.model import Cluster, Host, Pool

KINDS = ("flags", "unit", "config")

_Named = TypeVar("_Named", Host, Pool, Component)


def explain(root: Path, cluster: str, what: str, *, host: str | None = None, pool: str | None = None) -> list[str]:
    """Return lines that say what a value is and who set it, as a host, a pool or the whole cluster sees it.

    `what` is a path on a host ("/etc/kubernetes/kubelet.yaml"), a component ("kubelet"), or a component with a part of
    its settings ("kubelet.config.maxPods", "kube-apiserver.flags", "kubelet --v"), or of the section `system`
    ("system.time.servers"). Without host and pool, what pools and hosts set differently follows. Raises RenderError for
    what is not known, with the nearest name.
    """
    return explained(load(root, cluster), what, COMPONENTS, host=host, pool=pool)


def explained(
    cluster: Cluster, what: str, components: Sequence[Component], *, host: str | None = None, pool: str | None = None
) -> list[str]:
    """Return the same for a cluster that is loaded already."""
    material = RequestMaterial(cluster)
    the_host = None if host is None else _one(cluster, "host", host, {one.name: one for one in cluster.hosts})
    the_pool = the_host.pool if the_host else None if pool is None else _one(cluster, "pool", pool, cluster.pools)
    view = View(cluster, material, the_pool, the_host)
    if what.startswith("/"):
        return file_lines(view, what, components)
    by_name = {component.name: component for component in components}
    name, part = _parted(what)
    if name == SYSTEM:
        return system_lines(view, part)
    component = _one(cluster, "component", name, by_name)
    if the_pool is not None and not component.runs_on(cluster, the_pool):
        where = f"host {the_host.name}" if the_host else f"pool {the_pool.name}"
        raise RenderError(f"{cluster.name}: {name} does not run on {where}; name a host or pool that runs it")
    settings = component.settings(view)
    paths = _matching(settings, part)
    lines = [_line(name, settings, path) for path in paths]
    known = {".".join(path) for path in settings.origins}
    if view.pool is None:
        for level, other in _overriding_views(cluster, material, component):
            theirs = component.settings(other)
            known |= {".".join(path) for path in theirs.origins}
            for path in _matching(theirs, part):
                if theirs.origins[path].layer == level:
                    lines.append(f"in {level}: {_line(name, theirs, path)}")
    if not part:
        lines.extend(f"note: {note}" for note in _notes(component, cluster))
    if not lines and part:
        default = _default_of_the_program(cluster, name, part)
        if not default:
            raise RenderError(f"{cluster.name}: {name}: nothing sets {part}{_nearest(part, known)}")
        lines = [default]
    return lines or [f"{name}: it has no settings"]


def _notes(component: Component, cluster: Cluster) -> Sequence[str]:
    """Return what a component says of itself: the same always (NOTES), or as it is in this cluster (notes)."""
    said: Callable[[Cluster], Sequence[str]] | None = getattr(component, "notes", None)
    return getattr(component, "NOTES", ()) if said is None else said(cluster)


def _default_of_the_program(cluster: Cluster, name: str, part: str) -> str:
    """Return what holds for a flag that no layer sets but the program of that version has; "" for anything else."""
    kind, _, flag = part.rpartition(".")
    if kind not in {"", "flags"} or "flags" not in flag_policy.OVERRIDABLE.get(name, ()):
        return ""
    version = cluster.versions.etcd if name == "etcd" else cluster.versions.kubernetes
    minor = version.rpartition(".")[0]
    if flag_tables.known(name, minor, flag) is not flag_tables.Knowledge.KNOWN:
        return ""
    return f"{name}.flags.{flag}: set by no layer; the default of {name} {minor} holds"


def _parted(what: str) -> tuple[str, str]:
    """Split "kubelet.config.maxPods" or "kubelet --v" into the component and the part of its settings."""
    words = what.replace(" ", ".", 1).split(".", 1)
    part = words[1].strip() if len(words) > 1 else ""
    if part.startswith("--"):
        part = f"flags.{part.removeprefix('--')}"
    if part.startswith("unsafeFlags"):
        part = f"flags{part.removeprefix('unsafeFlags')}"
    return words[0], part.rstrip(".")


def _matching(settings: Settings, part: str) -> list[tuple[str, ...]]:
    """Return the paths below a part, in order; a part without its kind matches the end of a path."""
    joined = {path: ".".join(path) for path in settings.origins}
    below = [path for path, text in joined.items() if not part or text == part or text.startswith(f"{part}.")]
    if not below and part.split(".")[0] not in KINDS:
        below = [path for path, text in joined.items() if text.endswith(f".{part}") or f".{part}." in text]
    return sorted(below, key=lambda path: (KINDS.index(path[0]) if path[0] in KINDS else len(KINDS), path))


def _line(name: str, settings: Settings, path: tuple[str, ...]) -> str:
    origin: Origin = settings.origins[path]
    shown = ".".join([name, *path])
    found, value = _value(settings, path)
    if not found:
        return f"{shown}: removed by {origin}"
    return f"{shown} = {flag_text(value) if path[0] == 'flags' else flow(value)}: {origin}"


def _value(settings: Settings, path: tuple[str, ...]) -> tuple[bool, Any]:
    value: Any = {"flags": settings.flags, "unit": settings.unit, "config": settings.config}
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return False, None
        value = value[key]
    return True, value


def _overriding_views(cluster: Cluster, material: RequestMaterial, component: Component) -> Iterator[tuple[str, View]]:
    for pool in cluster.pools.values():
        if (component.name in pool.components or pool.gpu is not None) and component.runs_on(cluster, pool):
            yield f"pool {pool.name}", View(cluster, material, pool)
    for host in cluster.hosts:
        if component.name in host.components and component.runs_on(cluster, host.pool):
            yield f"host {host.name}", View(cluster, material, host.pool, host)


def _one(cluster: Cluster, kind: str, name: str, known: Mapping[str, _Named]) -> _Named:
    if name not in known:
        raise RenderError(f"{cluster.name}: there is no {kind} {name!r}{_nearest(name, known)}")
    return known[name]


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known)[:20])}"
