"""From components to folders: what is shared, in what a pool differs, what is one host's own.

The shared folder follows from defaults, minor and cluster alone. A pool's folder holds what the component says of
pools, and of the shared items those that differ under the pool's overrides; a host's folder likewise. A component is
asked again only at levels that override it, have settings of the system of their own or GPUs, so a thousand hosts
without such cost one answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from generator.components.items import HostItem, HostPackage, HostUnit, item_key
from generator.components.view import Component, Material, View
from generator.errors import RenderError
from generator.render.own_files import OWN_FILES, own_files
from generator.spec.model import Cluster, ExtraFile, Host, Pool

Items = Mapping[str, HostItem]


@dataclass(frozen=True, slots=True)
class Folder:
    """What one folder of the tree holds: items by key, and the keys of weaker levels that are missing here."""

    items: Items = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.items or self.absent)


@dataclass(frozen=True, slots=True)
class Levels:
    """All folders of a cluster. `components` lists for each pool what its hosts run, sorted."""

    components: Mapping[str, tuple[str, ...]]
    shared: Mapping[str, Folder]
    pools: Mapping[tuple[str, str], Folder]
    hosts: Mapping[str, Folder]

    def items_of(self, host: Host) -> Items:
        """Return everything that one host is to have, by key: shared, overlaid by its pool's and its own."""
        items: dict[str, HostItem] = {}
        for component in self.components[host.pool.name]:
            for folder in (self.shared.get(component), self.pools.get((component, host.pool.name))):
                _overlay(items, folder)
        _overlay(items, self.hosts.get(host.name))
        return items

    def phases(self) -> frozenset[str]:
        """Return the phases of which some folder has an item."""
        folders = [*self.shared.values(), *self.pools.values(), *self.hosts.values()]
        return frozenset(item.phase for folder in folders for item in folder.items.values())

    def all_items(self) -> Iterable[HostItem]:
        """Yield every item of every folder, in no promised order."""
        for folders in (self.shared, self.pools, self.hosts):
            for folder in folders.values():
                yield from folder.items.values()


def levels(cluster: Cluster, material: Material, components: Sequence[Component]) -> Levels:
    """Return every folder of a cluster's tree; raises RenderError where two components claim one path of a host."""
    return _Evaluation(cluster, material, components).levels()


class _Evaluation:
    def __init__(self, cluster: Cluster, material: Material, components: Sequence[Component]) -> None:
        self._cluster = cluster
        self._material = material
        self._known = sorted(components, key=lambda component: component.name)
        self._hosts: dict[str, list[Host]] = defaultdict(list)
        for host in sorted(cluster.hosts, key=lambda host: host.name):
            self._hosts[host.pool.name].append(host)
        self._running = {
            name: [component for component in self._known if component.runs_on(cluster, pool)]
            for name, pool in sorted(cluster.pools.items())
            if name in self._hosts
        }

    def levels(self) -> Levels:
        top = View(self._cluster, self._material)
        used = {component.name for running in self._running.values() for component in running}
        shared: dict[str, Items] = {
            component.name: _keyed(self._cluster.name, component, component.shared(top))
            for component in self._known
            if component.name in used
        }
        units = [item for items in shared.values() for item in items.values() if isinstance(item, HostUnit)]
        self._unit_phases = {unit.name: unit.phase for unit in units}
        if self._cluster.files:
            shared[OWN_FILES] = self._files(self._cluster.name, self._cluster.files)
        pools: dict[tuple[str, str], Folder] = {}
        hosts: dict[str, Folder] = {}
        listed: dict[str, tuple[str, ...]] = {}
        for name in self._running:
            folders, owned, own = self._pool(self._cluster.pools[name], shared)
            pools.update({(component, name): folder for component, folder in folders.items() if folder})
            hosts.update({host: folder for host, folder in own.items() if folder})
            listed[name] = tuple(sorted(owned))
        return Levels(listed, {name: Folder(items) for name, items in shared.items()}, pools, hosts)

    def _pool(
        self, pool: Pool, shared: Mapping[str, Items]
    ) -> tuple[dict[str, Folder], dict[str, Items], dict[str, Folder]]:
        """Return the pool's folders by component, what each component has there, and the folders of its hosts."""
        where = f"{self._cluster.name}/{self._hosts[pool.name][0].name}"
        view = View(self._cluster, self._material, pool)
        folders: dict[str, Folder] = {}
        result: dict[str, Items] = {}
        for component in self._running[pool.name]:
            base = shared[component.name]
            same = component.name not in pool.components and pool.system == self._cluster.system and pool.gpu is None
            mine = base if same else _keyed(where, component, component.shared(view))
            everything = _joined(where, component.name, mine, _keyed(where, component, component.pool(view)))
            folders[component.name] = _difference(base, everything)
            result[component.name] = everything
        if self._cluster.files or pool.files:
            base = shared.get(OWN_FILES, {})
            result[OWN_FILES] = {**base, **self._files(where, pool.files)}
            folders[OWN_FILES] = _difference(base, result[OWN_FILES])
        owners = _owners(where, result)
        return folders, result, {host.name: self._host(host, result, owners) for host in self._hosts[pool.name]}

    def _host(self, host: Host, weaker: Mapping[str, Items], owners: Mapping[str, str]) -> Folder:
        where = f"{self._cluster.name}/{host.name}"
        view = View(self._cluster, self._material, host.pool, host)
        again_for_system = host.system != host.pool.system
        own: dict[str, Items] = {}
        absent: list[str] = []
        for component in self._running[host.pool.name]:
            items = _keyed(where, component, component.host(view))
            base = weaker[component.name]
            if component.name in host.components or again_for_system:
                again = _joined(
                    where,
                    component.name,
                    _keyed(where, component, component.shared(view)),
                    _keyed(where, component, component.pool(view)),
                )
                difference = _difference(base, _joined(where, component.name, again, items))
                own[component.name] = difference.items
                others = [theirs for name, theirs in weaker.items() if name != component.name]
                absent.extend(key for key in difference.absent if not any(key in theirs for theirs in others))
            else:
                own[component.name] = items
                if not base.keys().isdisjoint(items):
                    _joined(where, component.name, base, items)
        if host.files:
            own[OWN_FILES] = self._files(where, host.files)
        items = {}
        for name, mine in own.items():
            for key, item in mine.items():
                owner = owners.get(key, name)
                if owner == name and key in items:
                    owner = items[key].component
                if owner != name and key not in absent and not isinstance(item, HostPackage):
                    raise _clash(where, key, owner, name)
                items[key] = item
        return Folder(items, tuple(sorted(absent)))

    def _files(self, where: str, files: Iterable[ExtraFile]) -> Items:
        items: dict[str, HostItem] = {}
        for item in own_files(files, self._unit_phases):
            if item.path in items:
                raise RenderError(f"{where}: {OWN_FILES}: {item.path} is listed twice; keep one of the two entries")
            items[item.path] = item
        return items


def _keyed(where: str, component: Component, items: Iterable[HostItem]) -> dict[str, HostItem]:
    keyed: dict[str, HostItem] = {}
    for item in items:
        key = item_key(item)
        if key in keyed and keyed[key] != item:
            raise RenderError(
                f"{where}: {component.name}: {key} comes out twice and not the same; report this as a defect"
            )
        keyed[key] = item
    return keyed


def _joined(where: str, component: str, first: Items, second: Items) -> dict[str, HostItem]:
    twice = sorted(key for key in second if key in first and first[key] != second[key])
    if twice:
        raise RenderError(f"{where}: {component}: {twice[0]} comes out at two levels; report this as a defect")
    return {**first, **second}


def _difference(weaker: Items, stronger: Items) -> Folder:
    items = {key: item for key, item in stronger.items() if key not in weaker or weaker[key] != item}
    return Folder(items, tuple(sorted(weaker.keys() - stronger.keys())))


def _owners(where: str, result: Mapping[str, Items]) -> dict[str, str]:
    owners: dict[str, str] = {}
    for component, items in result.items():
        for key, item in items.items():
            if key in owners:
                if isinstance(item, HostPackage):
                    # Two components may need one package; it is there once.
                    continue
                raise _clash(where, key, owners[key], component)
            owners[key] = component
    return owners


def _clash(where: str, key: str, first: str, second: str) -> RenderError:
    one, two = sorted((first, second))
    todo = "take the path out of `files:`" if OWN_FILES in (one, two) else "report this as a defect"
    return RenderError(f"{where}: {one}: {key} is also put there by {two}; {todo}")


def _overlay(items: dict[str, HostItem], folder: Folder | None) -> None:
    if folder is None:
        return
    for key in folder.absent:
        items.pop(key, None)
    items.update(folder.items)
