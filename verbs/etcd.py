"""Verbs for etcd."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from json import dumps
from typing import TypeVar

from invoke.collection import Collection
from invoke.context import Context

from fleet.connection import printable
from fleet.etcd_keys import ROOT, count_keys, key_prefix, list_keys
from fleet.session import Session
from fleet.standing import ssh_fleet
from fleet.tree import RenderedTree
from fleet.tree import load as load_tree
from generator.errors import RefusedError
from verbs import console
from verbs.rendering import WHICH
from verbs.verb import verb
from verbs.workspace import Place, place_of

T = TypeVar("T")


@verb(
    name="keys",
    help={
        "cluster": WHICH,
        "prefix": "list the keys below this: secrets/ or /registry/secrets/default/; without it they are counted",
        "limit-keys": "list so many keys at most",
        "json": "one JSON document instead of text; docs/json.md has its keys",
    },
)
def keys(
    context: Context, cluster: str | None = None, prefix: str | None = None, limit_keys: int = 0, json: bool = False
) -> None:
    """Count the keys that Kubernetes keeps in etcd by resource, or list those below a prefix; never a value.

    Example: invoke etcd.keys --cluster prod --prefix secrets/
    """
    if limit_keys < 0:
        raise RefusedError(f"--limit-keys {limit_keys}: give the number of keys to list, 1 or more")
    wanted = None if prefix is None else key_prefix(prefix)
    place = place_of(cluster)
    if wanted is None:
        counts = asyncio.run(on_etcd(place, lambda session, tree: count_keys(session, tree)))
        if json:
            console.raw(dumps({"keys": sum(counts.values()), "resources": counts}, indent=2) + "\n")
            return
        console.table(("resource", "keys"), ((name, str(count)) for name, count in counts.items()))
        console.say(f"{sum(counts.values())} keys of {len(counts)} resources below {ROOT}")
        return
    found: list[str] = []

    async def listed(session: Session, tree: RenderedTree) -> None:
        async for some in list_keys(session, tree, wanted, limit_keys):
            if json:
                found.extend(some)
            else:
                console.raw("".join(f"{key}\n" for key in map(printable, some)))

    asyncio.run(on_etcd(place, listed))
    if json:
        console.raw(dumps({"prefix": wanted, "keys": found}, indent=2) + "\n")


async def on_etcd(place: Place, work: Callable[[Session, RenderedTree], Awaitable[T]]) -> T:
    """Do something with connections to the hosts of a cluster, and close them."""
    tree = load_tree(place.rendered)
    session = Session(tree, ssh_fleet(tree, place.inputs).connect)
    try:
        return await work(session, tree)
    finally:
        await session.close()


namespace = Collection("etcd", keys)
