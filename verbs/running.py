"""Verbs that work on hosts and on the API: plan, push, apply, kubeconfig."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from json import dumps
from pathlib import Path

from invoke.context import Context

from fleet.admin import Signer
from fleet.kubeconfig import kubeconfig as kubeconfig_text
from fleet.kubeconfig import write_private
from fleet.options import Options
from fleet.plan import Plan
from fleet.plan_text import plan_json, plan_lines
from fleet.runs import agree_to_all, apply_run, plan_run, push_run
from generator.errors import RefusedError
from generator.sealing import identity_once
from generator.spec import load
from verbs import console
from verbs.host_options import (
    AS_JSON,
    BREAK_LOCK,
    DEEP,
    GATE_TIMEOUT,
    LIMIT,
    PHASE,
    PLAN_STYLES,
    SKIP,
    SKIP_CHECKS,
    SOURCE,
    STALE_OK,
    WAIT,
    fleet_of,
    folder,
    gate_seconds,
    typed_command,
    words,
)
from verbs.rendering import WHICH, require_current
from verbs.verb import agreed_meanwhile, verb
from verbs.workspace import place_of


def print_plan(found: Plan, *, as_json: bool) -> None:
    """Print a plan as text or as one JSON document."""
    if as_json:
        console.raw(dumps(plan_json(found), indent=2) + "\n")
        return
    for line in plan_lines(found):
        console.say(line.text, PLAN_STYLES.get(line.kind, ""))


@verb(
    name="plan",
    help={
        "cluster": WHICH,
        "limit": LIMIT,
        "phase": PHASE,
        "json": AS_JSON,
        "deep": DEEP,
        "skip-unreachable": SKIP,
        "stale-ok": STALE_OK,
        "kubeconfig": "compare API objects with this kubeconfig instead of a certificate signed for the run",
    },
)
def plan(
    context: Context,
    cluster: str | None = None,
    limit: str | None = None,
    phase: str | None = None,
    json: bool = False,
    deep: bool = False,
    skip_unreachable: bool = False,
    stale_ok: bool = False,
    kubeconfig: str | None = None,
) -> int:
    """Say what an apply would change, host by host. Changes nothing; exit 0 nothing to do, 2 changes, 1 error.

    Example: invoke plan --cluster prod --limit workers
    """
    place = place_of(cluster)
    require_current(place, stale_ok)
    options = Options(
        limit=words(limit),
        phases=words(phase),
        kubeconfig=Path(kubeconfig).expanduser() if kubeconfig else None,
        deep=deep,
        skip_unreachable=skip_unreachable,
        stale_ok=stale_ok,
        command="invoke plan",
    )
    found = asyncio.run(plan_run(fleet_of(place, options, as_json=False)))
    print_plan(found, as_json=json)
    return found.exit_code


@verb(
    name="push",
    help={
        "cluster": WHICH,
        "limit": LIMIT,
        "source": SOURCE,
        "json": AS_JSON,
        "deep": DEEP,
        "skip-unreachable": SKIP,
        "stale-ok": STALE_OK,
        "dry-run": "say what would be staged and stage nothing",
    },
)
def push(
    context: Context,
    cluster: str | None = None,
    limit: str | None = None,
    source: str | None = None,
    json: bool = False,
    deep: bool = False,
    skip_unreachable: bool = False,
    stale_ok: bool = False,
    dry_run: bool = False,
) -> None:
    """Stage on the hosts what they lack. Activates nothing, so it is harmless; what is there already is not sent again.

    Example: invoke push --cluster prod
    """
    place = place_of(cluster)
    require_current(place, stale_ok)
    options = Options(
        limit=words(limit),
        artifacts=folder(source),
        deep=deep,
        skip_unreachable=skip_unreachable,
        stale_ok=stale_ok,
        dry_run=dry_run,
        command="invoke push",
    )
    count = asyncio.run(push_run(fleet_of(place, options, as_json=json)))
    if not json:
        done = "would get something" if dry_run else "got something"
        console.say(
            f"{place.cluster}: {count} hosts {done}" if count else f"{place.cluster}: every host has everything"
        )


@verb(
    name="apply",
    help={
        "cluster": WHICH,
        "limit": LIMIT,
        "phase": PHASE,
        "source": SOURCE,
        "json": AS_JSON,
        "deep": DEEP,
        "skip-unreachable": SKIP,
        "stale-ok": STALE_OK,
        "dry-run": "print the plan and change nothing; exit 2 where there is something to do",
        "break-lock": BREAK_LOCK,
        "wait": WAIT,
        "gate-timeout": GATE_TIMEOUT,
        "yes": "do not ask before something is removed",
        "skip": SKIP_CHECKS,
    },
)
def apply(
    context: Context,
    cluster: str | None = None,
    limit: str | None = None,
    phase: str | None = None,
    source: str | None = None,
    json: bool = False,
    deep: bool = False,
    skip_unreachable: bool = False,
    stale_ok: bool = False,
    dry_run: bool = False,
    break_lock: bool = False,
    wait: int = 0,
    gate_timeout: int = 0,
    yes: bool = False,
    skip: str | None = None,
) -> int:
    """Push what is not staged, then activate it phase by phase behind health gates. Run it again to resume.

    Example: invoke apply --cluster prod
    """
    place = place_of(cluster)
    require_current(place, stale_ok)
    options = Options(
        limit=words(limit),
        phases=words(phase),
        artifacts=folder(source),
        deep=deep,
        skip_unreachable=skip_unreachable,
        break_lock=break_lock,
        wait=60.0 * wait,
        gate_seconds=gate_seconds(gate_timeout),
        stale_ok=stale_ok,
        dry_run=dry_run,
        skip_checks=words(skip),
        command=typed_command(),
    )
    fleet = fleet_of(place, options, as_json=json)
    done = asyncio.run(apply_run(fleet, agree_to_all if yes else agree_to_removals))
    if dry_run:
        print_plan(done, as_json=json)
        return done.exit_code
    return 0


async def agree_to_removals(found: Plan) -> bool:
    """Ask the operator before anything is taken from hosts, on standard error: standard output may be for programs."""
    leaving = [
        f"{name}: {kind} {key} will be removed"
        for name, host in found.hosts.items()
        for kind, key in (
            *((one.kind, one.key) for work in host.work.values() for one in work.changes if one.action == "delete"),
            *((one.kind, one.key) for one in host.removals),
        )
    ]
    for line in leaving:
        console.tell(line)
    return not leaving or await agreed_meanwhile("remove these?")


@verb(
    name="kubeconfig",
    help={
        "cluster": WHICH,
        "hours": "how long its certificate lives, 1 by default",
        "read-only": "rights to look, not to change; for CI",
        "out": "write here with mode 0600, outside of the workspace; else to standard output",
    },
)
def kubeconfig(
    context: Context, cluster: str | None = None, hours: int = 1, read_only: bool = False, out: str | None = None
) -> None:
    """Sign a short-lived client certificate in your name and print a kubeconfig with it.

    Example: invoke kubeconfig --cluster prod --hours 8 --out ~/.kube/prod
    """
    if hours < 1:
        raise RefusedError(f"--hours {hours}: a certificate lives for an hour at least; give 1 or more")
    place = place_of(cluster)
    server = load(place.root, place.cluster).external_api_url
    signer = Signer(place.cluster, place.inputs, identity=identity_once())
    text = kubeconfig_text(signer, server, read_only=read_only, lifetime=timedelta(hours=hours))
    if out is None:
        console.raw(text)
        return
    path = Path(out).expanduser()
    write_private(path, text, place.root)
    console.say(f"{path} (mode 0600), valid for {hours} h")
