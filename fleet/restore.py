"""A restore of etcd: a snapshot in the place of all members' data, step by step, each of which can be begun again.

The snapshot is proved and restored beside the data on every host before anything stops. Then API servers and members
stop, folders are renamed, the members start together as a new cluster that has never spoken to the old one, and the API
servers start behind them. The old data stays where it is named at the end; nothing of it is deleted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fleet.guards import open_identity
from fleet.host_scripts import Lines, run_script
from fleet.journal import Entry, journalled
from fleet.restore_choice import Restore, run_of
from fleet.restore_members import control_plane_of, members_of
from fleet.restore_steps import RestoreSteps
from fleet.session import Session
from fleet.snapshot import Snapshot
from fleet.standing import ApiOnce, Fleet, operator, run_lock
from fleet.together import all_ended
from fleet.tree import Host
from generator.errors import HostError, RefusedError

Agree = Callable[[Restore], Awaitable[bool]]


async def restore_plan(fleet: Fleet, snapshot: Snapshot) -> Restore:
    """Return what a restore would do; nothing is changed. Raises HostError where a host of it does not answer."""
    session = Session(fleet.tree, fleet.connector)
    try:
        return await _planned(fleet, session, snapshot)
    finally:
        await session.close()


async def restore_run(fleet: Fleet, snapshot: Snapshot, agree: Agree) -> dict[str, tuple[str, ...]]:
    """Restore a snapshot on all members and return where each host has its old data.

    `agree` is asked under the lock; without its consent nothing is done (RefusedError). Cut off at any moment, it goes
    on where it was when it is run again with the same snapshot.
    """
    session = Session(fleet.tree, fleet.connector)
    api = ApiOnce(fleet, session)
    voters = [host.name for host in fleet.tree.with_role("etcd")]
    try:
        async with run_lock(fleet, session) as lock:
            found = await _planned(fleet, session, snapshot)
            # The gate of the API servers asks as an administrator; that it cannot is told before anything stops.
            await open_identity(fleet)
            (await api()).admin_context()
            if not await agree(found):
                raise RefusedError(f"{fleet.tree.cluster}: nothing was changed: nobody agreed; add --yes")
            await lock.ensure()
            began = fleet.moment()
            entry = Entry(
                began, lock.run, operator(), fleet.options.command, fleet.tree.digest, "", False,
                fleet.options.stale_ok, "begun",
            )  # fmt: skip
            async with journalled(voters, session.connect, entry, fleet.moment):
                return await RestoreSteps(fleet, session, api, lock, found).whole()
    finally:
        await api.close()
        await session.close()


async def _planned(fleet: Fleet, session: Session, snapshot: Snapshot) -> Restore:
    members = members_of(fleet.tree)
    _, control, units = control_plane_of(fleet.tree)
    names = sorted({host.name for host in (*members.hosts, *control)})
    await session.ask(names)
    missing = [name for name in names if name in session.unreachable]
    if missing:
        reasons = "\n".join(str(session.unreachable[name]) for name in missing)
        raise HostError(
            f"{fleet.tree.cluster}: {', '.join(missing)} does not answer, and a member that keeps its old data would "
            f"come back as another cluster; nothing was changed; bring it back first:\n{reasons}",
            missing[0],
        )

    async def ask(host: Host) -> Lines:
        return await run_script(await session.connect(host.name), "restore", ["ask", members.data])

    found: dict[str, tuple[str, str]] = {}
    before: set[str] = set()
    for host, lines in zip(members.hosts, await all_ended(map(ask, members.hosts)), strict=True):
        for words in lines:
            if words[0] == "step" and len(words) == 3:
                found[host.name] = (words[1], words[2])
            elif words[0] == "before" and words[1].startswith(f"{snapshot.digest[:16]}-"):
                before.add(words[1])
    run = run_of(fleet.tree, snapshot, found, fleet.clock())
    return Restore(
        members, control, units, snapshot, run,
        {host.name: found[host.name][1] if found.get(host.name, ("", ""))[0] == run else "" for host in members.hosts},
        tuple(sorted(before - {run})),
    )  # fmt: skip
