"""Where a path on a host comes from: component, folder of the tree, and who overrides what is written there."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from generator.components.items import HostFile, HostItem, HostLink, SecretRef, item_key
from generator.components.view import Component, View
from generator.errors import RenderError
from generator.render.levels import Folder, Levels, levels
from generator.render.own_files import OWN_FILES
from generator.spec.model import ExtraFile, Host


def file_lines(view: View, path: str, components: Sequence[Component]) -> list[str]:
    """Return lines that say which folders of the tree hold a path, for the view's host or pool, else for all.

    Raises RenderError for a path that Slipway puts nowhere, with the nearest one.
    """
    found = levels(view.cluster, view.material, components)
    lines = [line for name, folder in _folders(view, found) for line in _folder_lines(name, folder, path)]
    if not lines:
        keys = sorted({item_key(item) for item in found.all_items()})
        near = difflib.get_close_matches(path, keys, n=1, cutoff=0.6)
        hint = f"; did you mean {near[0]}?" if near else "; `invoke plan` lists what each host is to have"
        raise RenderError(f"{view.cluster.name}: Slipway puts nothing at {path}{_where(view)}{hint}")
    owners = sorted({item.component for item in found.all_items() if item_key(item) == path})
    for owner in owners:
        lines.extend(_overrides(view, owner, path))
    return lines


def _folders(view: View, found: Levels) -> Iterator[tuple[str, Folder]]:
    """Yield the folders that matter for a view, weakest first, by their paths in the tree."""
    pools = [view.pool.name] if view.pool else sorted(found.components)
    running = sorted({name for pool in pools for name in found.components[pool]})
    for name in running:
        if name in found.shared:
            yield f"components/{name}", found.shared[name]
    for pool in pools:
        for name in found.components[pool]:
            if (name, pool) in found.pools:
                yield f"components/{name}@{pool}", found.pools[name, pool]
    hosts: list[Host] = [view.host] if view.host else [] if view.pool else list(view.cluster.hosts)
    for host in hosts:
        if host.name in found.hosts:
            yield f"hosts/{host.name}", found.hosts[host.name]


def _folder_lines(name: str, folder: Folder, path: str) -> Iterator[str]:
    if path in folder.absent:
        yield f"{path}: left out by {name}"
    item = folder.items.get(path)
    if item is not None:
        yield f"{path}: {_words(item)}, in {name}"


def _words(item: HostItem) -> str:
    words = [f"of {item.component}", f"phase {item.phase}"]
    if isinstance(item, (HostFile, HostLink)):
        if isinstance(item, HostLink):
            words.append(f"link to {item.target}")
        elif isinstance(item.content, SecretRef):
            words.append(f"the secret {item.content.name}")
        words.extend(f"a change restarts {unit}" for unit in item.restarts)
        words.extend(f"a change reloads {unit}" for unit in item.reloads)
    return ", ".join(words)


def _overrides(view: View, component: str, path: str) -> Iterator[str]:
    """Yield where the spec writes the file itself, or overrides the component that it belongs to."""
    if component == OWN_FILES:
        files: list[tuple[str, tuple[ExtraFile, ...]]] = [("cluster", view.cluster.files)]
        pools = [view.pool] if view.pool else list(view.cluster.pools.values())
        files += [(f"pool {pool.name}", pool.files) for pool in pools]
        hosts = [view.host] if view.host else [] if view.pool else list(view.cluster.hosts)
        files += [(f"host {host.name}", host.files) for host in hosts]
        for level, listed in files:
            for file in listed:
                if file.path == path:
                    yield f"written by {level} ({file.where.file}:{file.where.line})"
        return
    for level, override in view.overrides(component):
        for key, source in sorted(override.sources.items()):
            yield f"{component} is overridden by {level}: {'.'.join(key)} ({source.file}:{source.line})"


def _where(view: View) -> str:
    if view.host is not None:
        return f" on {view.host.name}"
    return f" in pool {view.pool.name}" if view.pool is not None else ""
