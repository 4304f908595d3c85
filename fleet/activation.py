"""What is done on one host in one phase: activate, watch the gates, note it down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fleet.compare import later_units
from fleet.connection import Connection
from fleet.gates import journal_of
from fleet.host_scripts import WAITING_SECONDS, run_script
from fleet.tree import Host, Phase, RenderedTree
from fleet.work import Work
from generator.errors import GateError

_DONE = {"start": "started", "restart": "restarted", "reload-or-restart": "reloaded", "try-restart": "restarted",
         "try-reload-or-restart": "reloaded", "enabled": "enabled", "removed": "removed"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Activated:
    """What a host says it did: keys that changed, for each verb (started, …, removed) the units and paths.

    `kept`: paths that were to go and did not, each with the reason.
    """

    host: str
    changed: tuple[str, ...] = ()
    units: tuple[tuple[str, str], ...] = ()
    kept: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> str:
        """One short text for the operator."""
        parts = [f"{len(self.changed)} changed"] if self.changed else []
        parts += [f"{verb} {unit}" for verb, unit in self.units]
        parts += [f"kept {path}: {reason}" for path, reason in self.kept]
        return ", ".join(parts) or "nothing to change"


async def activate(
    connection: Connection,
    tree: RenderedTree,
    host: Host,
    phase: Phase,
    work: Work,
    *,
    block: bool = True,
    owe: Iterable[str] = (),
    about: str = "",
) -> Activated:
    """Activate the staged items of a phase on one host; units in `owe` are restarted where they run.

    `block` False does not wait for units to be up. `about` is the line that says who does this. Raises HostError, or
    GateError with the unit's last journal lines where a unit cannot be started.
    """
    order = [f"phase\t{name}" for name in work.phases]
    order += [f"later\t{unit}" for unit in later_units(tree, host, phase)]
    order += [f"owe\t{unit}" for unit in owe]
    for drop in work.drops:
        order.append("\t".join(["drop", drop.key, ",".join(drop.restarts) or "-", ",".join(drop.reloads) or "-"]))
    if about:
        order.append(f"about\t{about}")
    if not block:
        order.append("noblock")
    lines = await run_script(
        connection,
        "activate",
        [host.digest],
        ("\n".join(order) + "\n").encode(),
        timeout=WAITING_SECONDS,
        accept=(0, 3),
    )
    # A mount that does not come up has its reason in the service before it, which says it in its journal.
    failed = sorted((rest for word, *rest in lines if word == "failed"), key=lambda rest: rest[0].endswith(".mount"))
    if failed:
        # So has whatever else systemd did not even try.
        told = [(rest, await journal_of(connection, rest[0])) for rest in failed]
        tried = [one for one in told if not one[1].rstrip(".\n").endswith("failed with result 'dependency'")]
        rest, journal = (tried or told)[0]
        unit, verb, reason = rest[0], rest[1], " ".join(rest[2:]).rstrip(".")
        tail = f"; its last lines:\n{journal}" if journal else ""
        why = f" ({reason})" if reason else ""
        raise GateError(
            f"{tree.cluster}/{host.name}: {phase.name}: systemctl {verb} {unit} failed{why}; put that right "
            f"and run the same command again{tail}",
            host.name, unit, journal,
        )  # fmt: skip
    return Activated(
        host.name,
        tuple(rest[0] for word, *rest in lines if word == "changed"),
        tuple((_DONE[word], rest[0]) for word, *rest in lines if word in _DONE),
        tuple((rest[0], rest[1]) for word, *rest in lines if word == "kept"),
    )


async def record_phases(connection: Connection, host: Host, phases: Sequence[str]) -> None:
    """Note on the host that phases have passed their gates."""
    for name in phases:
        if name in host.phase_digests:
            digest = host.phase_digests[name]
            await run_script(connection, "record", ["phase", name, digest], timeout=WAITING_SECONDS)


def total(done: Iterable[Activated]) -> dict[str, int]:
    """Return how many items changed and how many units were started, restarted and so on, over hosts."""
    counts: Counter[str] = Counter()
    for one in done:
        counts["changed"] += len(one.changed)
        counts.update(verb for verb, _ in one.units)
    return dict(counts)
