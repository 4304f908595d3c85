"""A Corefile as a tree, and which plugins the programs have that read ours: neither program is to be had for the tests.

Sources: https://github.com/coredns/coredns/blob/master/plugin.cfg and the imports of
https://github.com/kubernetes/dns/blob/master/cmd/node-cache/main.go.
"""

from __future__ import annotations

from collections.abc import Iterator

COREDNS = {
    "errors", "log", "health", "ready", "kubernetes", "prometheus", "forward", "cache", "loop", "reload", "loadbalance",
    "rewrite",
}  # fmt: skip
"""Those of CoreDNS's plugins that a Corefile of these tests may name; every release from 1.7.0 on has them."""

NODE_CACHE = {
    "bind", "bufsize", "cache", "debug", "dns64", "errors", "forward", "health", "hosts", "loadbalance", "log", "loop",
    "prometheus", "pprof", "reload", "rewrite", "template", "trace", "whoami",
}  # fmt: skip
"""All plugins that the image of NodeLocal DNS is built with."""

Blocks = dict[str, dict[str, list[str]]]


def blocks(text: str) -> Blocks:
    """Return the server blocks: zone → plugin → its arguments, with the lines of its own block behind them."""
    found: Blocks = {}
    zone = plugin = ""
    for depth, line in _lines(text):
        if depth == 0:
            assert line.endswith("{"), line
            (zone,) = line.removesuffix("{").split()
            assert zone not in found, f"{zone} twice"
            found[zone] = {}
        elif depth == 1:
            plugin, *words = line.removesuffix("{").split()
            found[zone].setdefault(plugin, []).extend(words)
        else:
            found[zone][plugin].append(line)
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    depth = 0
    for line in (line.strip() for line in text.splitlines()):
        assert line, "an empty line"
        if line == "}":
            depth -= 1
            assert depth >= 0
            continue
        yield depth, line
        depth += line.endswith("{")
    assert depth == 0, "a block that is not closed"
