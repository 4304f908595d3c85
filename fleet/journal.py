"""The journal of a cluster: on its etcd hosts, one JSON line for each run that changed something."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace

from fleet.connection import Connection
from fleet.host_scripts import run_script
from generator.errors import HostError, SlipwayError


@dataclass(frozen=True, slots=True)
class Entry:
    """Who did what with which tree. `result`: begun, done, or the error; `stale`: --stale-ok was used.

    `undoes`: the tree that a rollback took back; its `tree` and `commit` are then those that came back.
    """

    time: str
    run: str
    operator: str
    command: str
    tree: str
    commit: str
    clean: bool
    stale: bool
    result: str
    undoes: str = ""


async def write_entry(hosts: Sequence[str], connect: Callable[[str], Awaitable[Connection]], entry: Entry) -> int:
    """Add an entry to the journal of each host and return on how many that worked."""
    line = (json.dumps(asdict(entry), sort_keys=True) + "\n").encode()

    async def one(host: str) -> bool:
        try:
            await run_script(await connect(host), "journal", ["add"], line)
        except HostError:
            return False
        return True

    return sum(await asyncio.gather(*(one(host) for host in hosts)))


@asynccontextmanager
async def journalled(
    hosts: Sequence[str],
    connect: Callable[[str], Awaitable[Connection]],
    entry: Entry,
    now: Callable[[], str],
    *,
    begun: bool = True,
    changed: Callable[[], bool] = lambda: True,
) -> AsyncIterator[None]:
    """Write down that a run begins and how it ended: done, broken off, or the first line of its error.

    With `begun` False nothing is written before, and afterwards only where `changed` says that something was.
    """
    if begun:
        await write_entry(hosts, connect, entry)
    result = "broken off"
    try:
        yield
        result = "done"
    except SlipwayError as error:
        result = str(error).splitlines()[0]
        raise
    finally:
        if begun or changed():
            await write_entry(hosts, connect, replace(entry, time=now(), result=result))


async def last_entries(connection: Connection, count: int = 20) -> list[dict[str, object]]:
    """Return the last entries of a host's journal, oldest first; lines that are no JSON are passed over."""
    found: list[dict[str, object]] = []
    for words in await run_script(connection, "journal", ["tail", str(count)]):
        try:
            entry = json.loads(words[1]) if words[0] == "entry" else None
        except ValueError:
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found
