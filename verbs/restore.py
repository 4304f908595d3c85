"""The verb that puts a snapshot in the place of etcd's data."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from invoke.context import Context

from fleet.options import Options
from fleet.restore import restore_plan, restore_run
from fleet.restore_choice import Restore
from fleet.restore_text import restore_lines
from fleet.snapshot import read_snapshot
from generator.sealing import IDENTITY_VARIABLE, identity_once
from verbs import console
from verbs.host_options import BREAK_LOCK, GATE_TIMEOUT, STALE_OK, WAIT, fleet_of, gate_seconds, typed_command
from verbs.rendering import WHICH, require_current
from verbs.verb import agreed_meanwhile, verb
from verbs.workspace import place_of


@verb(
    name="restore",
    help={
        "cluster": WHICH,
        "snapshot": "file etcd-….db or etcd-….db.age, its .json beside it; it is opened in memory",
        "identity": "file with the private key that opens it; else your identity",
        "dry-run": "prove the snapshot, say what would be done and change nothing; exit 2",
        "break-lock": BREAK_LOCK,
        "wait": WAIT,
        "gate-timeout": GATE_TIMEOUT,
        "stale-ok": STALE_OK,
        "yes": "do not ask",
    },
)
def restore(
    context: Context,
    snapshot: str,
    cluster: str | None = None,
    identity: str | None = None,
    dry_run: bool = False,
    break_lock: bool = False,
    wait: int = 0,
    gate_timeout: int = 0,
    stale_ok: bool = False,
    yes: bool = False,
) -> int:
    """Put a snapshot in the place of all members' data; what was written since is gone. The old data stays beside it.

    All hosts of etcd and control plane must answer. Run it again with the same snapshot where it was broken off.

    Example: invoke restore --cluster prod --snapshot etcd-prod-20260704T011000Z-81234.db.age --dry-run
    """
    place = place_of(cluster)
    require_current(place, stale_ok)
    own = {**os.environ, IDENTITY_VARIABLE: identity} if identity else None
    found = read_snapshot(Path(snapshot).expanduser(), identity_once(own))
    options = Options(
        break_lock=break_lock,
        wait=60.0 * wait,
        gate_seconds=gate_seconds(gate_timeout),
        stale_ok=stale_ok,
        dry_run=dry_run,
        command=typed_command(),
    )
    fleet = fleet_of(place, options, as_json=False)

    def show(plan: Restore) -> None:
        for line in restore_lines(plan, place.cluster):
            console.say(line)

    if dry_run:
        show(asyncio.run(restore_plan(fleet, found)))
        return 2

    async def agree(plan: Restore) -> bool:
        show(plan)
        return yes or await agreed_meanwhile("restore?")

    old = asyncio.run(restore_run(fleet, found, agree))
    console.say(f"{place.cluster}: restored {found.name}; `invoke status` shows how it is")
    for host, paths in old.items():
        for path in paths:
            console.say(f"{host}: the data from before lies in {path}; delete it when nobody needs it any more")
    return 0
