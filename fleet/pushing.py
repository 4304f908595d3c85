"""A push to all hosts of a plan, many at once: what is sent is proved here first, one error names all that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace

from fleet.artifacts import ArtifactSource
from fleet.failures import enlarged, one_error
from fleet.folding import folded
from fleet.guards import open_identity
from fleet.plan import Plan
from fleet.push import Delivery, delivery, push_host
from fleet.secrets import SecretStore
from fleet.session import Session
from fleet.standing import Fleet

PUSHES_AT_ONCE = 20


async def push_all(fleet: Fleet, session: Session, plan: Plan, may: Callable[[], Awaitable[None]]) -> int:
    """Bring all hosts what they lack, many at once; returns how many got something.

    `may` is asked before each host's turn and, since binaries take up to half an hour, again before it stages: that
    pushes out what another run may have staged meanwhile. It raises where this run must not.
    """
    deliveries: dict[str, Delivery] = {}
    for name, host in plan.hosts.items():
        wanted = delivery(fleet.tree, fleet.tree.hosts[name], session.states[name], host)
        if not wanted.empty:
            deliveries[name] = wanted
    if not deliveries:
        return 0
    if fleet.options.dry_run:
        return len(deliveries)
    secrets = SecretStore(fleet.cluster_dir, fleet.identity)
    source = ArtifactSource(fleet.tree, fleet.cluster_dir, fleet.options.artifacts)
    await _prove(fleet, deliveries.values(), secrets, source)
    slots = asyncio.Semaphore(PUSHES_AT_ONCE)
    fleet.reporter.event("phase", phase="push", title=f"stage on {len(deliveries)} hosts")

    async def one(name: str) -> None:
        async with slots:
            wanted, host = deliveries[name], fleet.tree.hosts[name]
            connection = await session.connect(name)
            await may()
            if wanted.artifacts:
                binaries = replace(wanted, manifest=False, blobs=())
                await push_host(connection, fleet.tree, host, binaries, secrets, source)
                await may()
            await push_host(connection, fleet.tree, host, replace(wanted, artifacts=()), secrets, source)
            text = f"{len(wanted.blobs)} files, {len(wanted.artifacts)} artifacts staged"
            fleet.reporter.event("host", phase="push", host=name, text=text)

    answers = await asyncio.gather(*(one(name) for name in deliveries), return_exceptions=True)
    errors = {name: answer for name, answer in zip(deliveries, answers, strict=True) if answer is not None}
    if errors:
        staged = [name for name in deliveries if name not in errors]
        fleet.reporter.event("left", staged=staged, failed=list(errors))
        told = f"staged: {folded(staged)}; " if staged else ""
        raise enlarged(
            one_error(list(errors.values())),
            f"{plan.cluster}: {told}not staged: {folded(errors)}; nothing has been activated; put right what is named "
            "above and run the same command again: what is staged is not sent again",
        )
    return len(deliveries)


async def _prove(fleet: Fleet, deliveries: Collection[Delivery], secrets: SecretStore, source: ArtifactSource) -> None:
    """Find out what is wrong on this machine before the first host gets anything; both keep what they have proved."""
    if any(item.is_secret for wanted in deliveries for item in wanted.blobs):
        await open_identity(fleet)
    for wanted in deliveries:
        for item in wanted.blobs:
            if item.is_secret:
                secrets.content(item)
        if fleet.tree.fetch != "host":
            for artifact, _ in wanted.artifacts:
                await source.file(artifact)
