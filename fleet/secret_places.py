"""Where on hosts a secret goes, read from the rendered tree."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.tree import RenderedTree


def secret_places(tree: RenderedTree) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Return for each secret by name the paths that hold it and, for each path, the hosts, by name."""
    found: dict[str, dict[str, list[str]]] = {}
    for host in tree.hosts.values():
        for item in host.items:
            for name in {item.secret, *item.secrets} - {""}:
                found.setdefault(name, {}).setdefault(item.path, []).append(host.name)
    return {name: {path: tuple(hosts) for path, hosts in paths.items()} for name, paths in found.items()}
