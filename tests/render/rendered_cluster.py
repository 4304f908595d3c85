"""A rendered tree as its properties are asked: hosts with their items, and the pages beside; edits make it worse."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from fleet.items import Item
from fleet.tree import Host, load
from generator.render.tree import write
from generator.spec.model import Cluster
from tests.golden.cases import CLUSTERS, VARIATIONS, cluster, cluster_tree, variation, variation_tree

CASES = {
    **{name: (cluster, cluster_tree) for name in CLUSTERS},
    **{name: (variation, variation_tree) for name in VARIATIONS},
}


@dataclass
class RenderedCluster:
    """What the tree of one case gives to each host; `model` is the spec behind it."""

    model: Cluster
    hosts: dict[str, Host]
    items: dict[str, dict[str, Item]]
    certificates: list[dict[str, Any]]
    objects: list[dict[str, Any]]
    bom: dict[str, Any]

    def with_role(self, *roles: str) -> list[str]:
        return [name for name, host in self.hosts.items() if host.pool.roles & set(roles)]

    def every(self) -> Iterator[tuple[str, Item]]:
        for name, items in self.items.items():
            for item in items.values():
                yield name, item

    def secrets(self, host: str) -> dict[str, Item]:
        """The private keys of a host, by path."""
        return {key: item for key, item in self.items[host].items() if item.kind == "secret"}

    def text(self, host: str, path: str) -> str:
        return self.items[host][path].content.decode()

    def yaml(self, host: str, path: str) -> Any:
        return yaml.safe_load(self.text(host, path))

    def unit(self, host: str, name: str) -> dict[str, list[str]]:
        """A unit's keys with all their values; lines of an Exec key joined."""
        joined = self.text(host, f"/etc/systemd/system/{name}").replace("\\\n", "")
        keys: dict[str, list[str]] = {}
        for line in joined.splitlines():
            key, found, value = line.partition("=")
            if found and not line.startswith("#"):
                keys.setdefault(key, []).append(value)
        return keys

    def flags(self, host: str, name: str) -> dict[str, str]:
        """The flags of a program, as its unit passes them."""
        words = self.unit(host, f"{name}.service")["ExecStart"][0].split()[1:]
        return {key.removeprefix("--"): value for key, _, value in (word.partition("=") for word in words)}

    def values(self, host: str, name: str, flag: str) -> list[str]:
        """Every value of a flag that a program is passed several times."""
        words = self.unit(host, f"{name}.service")["ExecStart"][0].split()[1:]
        return [word.partition("=")[2] for word in words if word.startswith(f"--{flag}=")]

    def environment(self, host: str, component: str) -> dict[str, str]:
        lines = self.text(host, f"/etc/slipway/{component}.env").splitlines()
        return dict(line.split("=", 1) for line in lines)


def rendered_cluster(name: str, folder: Path) -> RenderedCluster:
    """Write the tree of a case to a folder and read it as fleet does."""
    model_of, tree_of = CASES[name]
    tree = tree_of(name)
    write(tree, folder)
    found = load(folder)
    return RenderedCluster(
        model_of(name),
        dict(found.hosts),
        {host.name: dict(host.by_key) for host in found.hosts.values()},
        yaml.safe_load(tree["pki.yaml"])["certificates"],
        [
            yaml.safe_load(content)
            for path, content in tree.items()
            if path.startswith("objects/") and not path.endswith("index.yaml")
        ],
        yaml.safe_load(tree["bom.yaml"]),
    )


Edit = Callable[[RenderedCluster], None]


def worse(one: RenderedCluster, edit: Edit) -> RenderedCluster:
    """Return a copy with an edit made to it."""
    again = replace(one, items={host: dict(items) for host, items in one.items.items()})
    again.certificates, again.objects, again.bom = copy.deepcopy((one.certificates, one.objects, one.bom))
    edit(again)
    return again


def replaced(path: str, old: str, new: str) -> Edit:
    """Replace text in a file wherever it is."""

    def edit(one: RenderedCluster) -> None:
        seen = False
        for host, item in list(one.every()):
            if item.path == path and old.encode() in item.content:
                seen = True
                one.items[host][path] = _changed(item, content=item.content.replace(old.encode(), new.encode()))
        assert seen, f"{path} has no {old!r}"

    return edit


def unit_replaced(name: str, old: str, new: str) -> Edit:
    return replaced(f"/etc/systemd/system/{name}.service", old, new)


def changed(path: str, **values: Any) -> Edit:
    """Change fields of an item wherever it is."""

    def edit(one: RenderedCluster) -> None:
        found = [(host, item) for host, item in one.every() if item.key == path]
        assert found, path
        for host, item in found:
            one.items[host][path] = _changed(item, **values)

    return edit


def given(role: str, path: str, secret: str, **values: Any) -> Edit:
    """Give a private key to the hosts of a role."""

    def edit(one: RenderedCluster) -> None:
        names = one.with_role(role)
        assert names
        for host in names:
            one.items[host][path] = Item(
                "secret", path, "kubelet", "nodes", path, **{"mode": 0o400, "secret": secret, "id": "0", **values}
            )

    return edit


def without(path: str) -> Edit:
    def edit(one: RenderedCluster) -> None:
        assert any(items.pop(path, None) for items in one.items.values()), path

    return edit


def certificate(name: str, values: Mapping[str, Any]) -> Edit:
    """Change fields of the certificates whose name ends so."""

    def edit(one: RenderedCluster) -> None:
        found = [entry for entry in one.certificates if entry["name"].endswith(name)]
        assert found, name
        for entry in found:
            entry.update(values)

    return edit


def _changed(item: Item, **values: Any) -> Item:
    return replace(item, **values)
