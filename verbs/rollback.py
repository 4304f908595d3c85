"""The verb that undoes the last apply on its hosts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from json import dumps

from invoke.context import Context

from fleet.cluster_client import open_cluster_api
from fleet.options import Options
from fleet.rollback import Rollback, rollback_plan, rollback_run
from fleet.rollback_text import next_steps, rollback_json, rollback_lines
from verbs import console
from verbs.host_options import BREAK_LOCK, DEEP, LIMIT, PLAN_STYLES, SKIP, WAIT, fleet_of, typed_command, words
from verbs.rendering import WHICH
from verbs.verb import agreed_meanwhile, verb
from verbs.workspace import place_of


@verb(
    name="rollback",
    help={
        "cluster": WHICH,
        "limit": f"{LIMIT}; the others keep what the apply brought",
        "json": "for programs: JSON instead of text; with --dry-run one document, else one JSON line for each event",
        "deep": DEEP,
        "skip-unreachable": SKIP,
        "dry-run": "say what would go back and change nothing; exit 2 where there is something",
        "break-lock": BREAK_LOCK,
        "wait": WAIT,
        "yes": "do not ask",
    },
)
def rollback(
    context: Context,
    cluster: str | None = None,
    limit: str | None = None,
    json: bool = False,
    deep: bool = False,
    skip_unreachable: bool = False,
    dry_run: bool = False,
    break_lock: bool = False,
    wait: int = 0,
    yes: bool = False,
) -> int:
    """Undo the last apply on its hosts: the generation before, from their own copies, behind the same gates.

    Within one minor of etcd and Kubernetes. Hosts that the apply did not reach stay as they are, API objects too. Run
    it again where it was broken off, and revert the commit afterwards: plan compares with git.

    Example: invoke rollback --cluster prod --dry-run
    """
    place = place_of(cluster)
    options = Options(
        limit=words(limit),
        deep=deep,
        skip_unreachable=skip_unreachable,
        break_lock=break_lock,
        wait=60.0 * wait,
        dry_run=dry_run,
        command=typed_command(),
    )
    fleet = fleet_of(place, options, as_json=json)
    # The phases and addresses of the generation that comes back are those of its own day.
    fleet = replace(
        fleet,
        open_api=lambda session: open_cluster_api(session.tree, place.inputs, session.connect, options, fleet.identity),
    )
    if dry_run:
        found = asyncio.run(rollback_plan(fleet))
        if json:
            console.raw(dumps(rollback_json(found), indent=2) + "\n")
        else:
            show(found)
        return 2

    async def agree(found: Rollback) -> bool:
        if not json:
            show(found)
        return yes or await agreed_meanwhile("roll back?")

    done = asyncio.run(rollback_run(fleet, agree))
    for line in next_steps(done):
        console.tell(line)
    return 0


def show(found: Rollback) -> None:
    """Print what a rollback would do."""
    for line in rollback_lines(found):
        console.say(line.text, PLAN_STYLES.get(line.kind, ""))
