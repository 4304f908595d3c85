"""The verb that brings a release back which a run left half-way."""

from __future__ import annotations

from invoke.context import Context

from fleet.helm_release import Helm, recovered
from generator.ci.stages import namespace_of
from generator.errors import RefusedError
from verbs import console
from verbs.ci_pipeline import settings_of
from verbs.ci_project import PROJECT, settled
from verbs.rendering import WHICH
from verbs.verb import verb


@verb(
    name="recover",
    help={
        "project": PROJECT,
        "env": "which environment",
        "at-once": "also where it began less than half an hour ago: whoever was at work is gone",
        "dry-run": "say what would be done, and change nothing; exit 2 where there is something to do",
        "cluster": WHICH,
    },
)
def recover(
    context: Context,
    project: str,
    env: str,
    at_once: bool = False,
    dry_run: bool = False,
    cluster: str | None = None,
) -> int:
    """Bring back a release that was killed half-way and that helm refuses to touch: to the revision that was good.

    A release that never was complete is taken away, as helm does itself where a first one fails. One that is whole, or
    not there, stays as it is.

    Example: invoke ci.recover --project hello --env dev --dry-run
    """
    found, place = settled(project, cluster)
    if found.is_vm:
        raise RefusedError(f"{found.name} runs on virtual machines, where ci.deploy goes back by itself")
    helm = Helm(namespace_of(found, env, settings_of(place)))
    way = recovered(helm, found.name, at_once=at_once, dry_run=dry_run)
    where = f"release {found.name} in {helm.namespace}"
    if way is None:
        console.say(f"{where}: nothing was left half-way")
        return 0
    begun = f"{way.state} since {way.since:%Y-%m-%d %H:%M} UTC"
    console.say(f"{where}: {begun}; {f'would {way.words}' if dry_run else way.done}")
    return 2 if dry_run else 0
