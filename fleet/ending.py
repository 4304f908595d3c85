"""What a run does after its last gate: take away what left the manifests, and record where each host has arrived."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.activation import Activated
from fleet.generations import Origin
from fleet.host_scripts import WAITING_SECONDS, run_script
from fleet.outcome import REMOVALS, Outcome
from fleet.plan import Plan
from fleet.reporter import Reporter
from fleet.session import Session
from fleet.together import all_ended
from fleet.tree import RenderedTree


async def remove(
    tree: RenderedTree,
    plan: Plan,
    session: Session,
    reporter: Reporter,
    names: Iterable[str],
    origin: Origin | None,
    outcome: Outcome,
) -> list[Activated]:
    """Take away what left the manifests of hosts, in the order of the plan; what is kept is told. Raises HostError.

    `outcome` is told of each host's beginning and end: units are stopped and files go from the first line on.
    """

    async def one(name: str) -> Activated:
        digest = tree.hosts[name].digest
        order = [f"about\t{origin.underway(name, digest)}"] if origin is not None else []
        order += [f"{removal.kind}\t{removal.key}" for removal in plan.hosts[name].removals]
        connection = await session.connect(name)
        outcome.begin(name, REMOVALS)
        lines = await run_script(
            connection, "remove", [digest], ("\n".join(order) + "\n").encode(), timeout=WAITING_SECONDS
        )
        outcome.ended(name)
        removed = [words[1] for words in lines if words[0] == "removed"]
        reporter.event("host", phase="removals", host=name, text=f"{len(removed)} removed", removed=removed)
        for words in lines:
            if words[0] == "kept":
                reporter.event("warning", host=name, text=f"{name}: {words[1]} is kept: {words[2]}")
        return Activated(name, units=tuple(("removed", key) for key in removed))

    return await all_ended([one(name) for name in names])


def unrecorded(tree: RenderedTree, plan: Plan, session: Session, names: Iterable[str]) -> list[str]:
    """Return the hosts that changed, were in the middle of a change, or have recorded another generation."""
    states = session.states
    return [
        name
        for name in names
        if plan.hosts[name].needed or states[name].underway or states[name].generation != tree.hosts[name].digest
    ]


async def record_generations(tree: RenderedTree, session: Session, names: Iterable[str], origin: Origin | None) -> None:
    """Record on hosts which generation they have now. Raises HostError."""

    async def one(name: str) -> None:
        digest, state = tree.hosts[name].digest, session.states[name]
        about = origin.about(name, digest, state.generation) if origin is not None else ""
        order = f"{about}\n".encode()
        await run_script(await session.connect(name), "record", ["generation", digest], order, timeout=WAITING_SECONDS)

    await all_ended([one(name) for name in names])
