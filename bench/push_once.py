"""A push, or the plan of one host, as a library call in a process of its own; prints seconds and counts as JSON.

`push ROOT` times reading the tree and `push_run` apart; `install ROOT [POOL]` puts everything in place on the targets
(of one pool) as an apply would, without its gates, for which a farm has no services.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from bench.workspace import CLUSTER
from fleet.activation import activate, record_phases
from fleet.host_scripts import run_script
from fleet.options import Options, selected
from fleet.plan import make_plan
from fleet.reporter import SilentReporter
from fleet.runs import push_run
from fleet.session import Session
from fleet.standing import Fleet, ssh_fleet
from fleet.tree import RenderedTree
from fleet.tree import load as load_tree
from generator.errors import FleetError
from generator.sealing import identity_once


def fleet_of(root: Path) -> Fleet:
    """Return what a run on a farm stands on; nothing asks its API."""
    tree = load_tree(root / "rendered" / CLUSTER)
    inputs = root / "clusters" / CLUSTER

    async def no_api(session: Session) -> Any:
        raise FleetError("a farm has no API server")

    return Fleet(
        tree=tree,
        cluster_dir=inputs,
        options=Options(artifacts=root / "artifacts", command="bench"),
        reporter=SilentReporter(),
        connector=ssh_fleet(tree, inputs).connect,
        open_api=no_api,
        identity=identity_once(),
    )


def push(root: Path) -> dict[str, Any]:
    """Push, and return what reading the tree and the push took."""
    began = time.perf_counter()
    fleet = fleet_of(root)
    read = time.perf_counter()
    count = asyncio.run(push_run(fleet))
    return {"read": read - began, "seconds": time.perf_counter() - read, "hosts": count}


async def install(fleet: Fleet, limit: tuple[str, ...]) -> int:
    """Activate what is staged on hosts and record it as done; return how many items were put in place."""
    session = Session(fleet.tree, fleet.connector)
    try:
        await session.ask(selected(fleet.tree, limit))
        plan = make_plan(fleet.tree, session.states)
        counts = await asyncio.gather(*(_installed(fleet.tree, session, name, plan.hosts[name]) for name in plan.hosts))
        return sum(counts)
    finally:
        await session.close()


async def _installed(tree: RenderedTree, session: Session, name: str, plan: Any) -> int:
    host, count = tree.hosts[name], 0
    connection = await session.connect(name)
    for phase in tree.phases:
        if phase.name in plan.work:
            work = plan.work[phase.name]
            count += len((await activate(connection, tree, host, phase, work)).changed)
            await record_phases(connection, host, work.phases)
    await run_script(connection, "record", ["generation", host.digest])
    return count


def main(what: str, root: Path, *limit: str) -> dict[str, Any]:
    """Do what is asked and return what it took."""
    if what == "push":
        return push(root)
    began = time.perf_counter()
    count = asyncio.run(install(fleet_of(root), limit))
    return {"seconds": time.perf_counter() - began, "items": count}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])))
