"""Verbs for hosts as such: their keys and the operator's, and a reboot."""

from __future__ import annotations

import asyncio
import getpass
import sys
from dataclasses import asdict
from json import dumps

from invoke.collection import Collection
from invoke.context import Context

from fleet.authorize import FAILED, WOULD, Outcome
from fleet.authorize import authorize as authorize_key
from fleet.host_keys import known_hosts_text, scan
from fleet.operator_key import operator_key
from fleet.options import Options, selected
from fleet.reboot import BACK_SECONDS, reboot_plan, reboot_run
from fleet.reboot_choice import Choice
from fleet.standing import ssh_fleet
from fleet.tree import load as load_tree
from generator.errors import RefusedError
from verbs import console
from verbs.host_options import (
    AS_JSON,
    BREAK_LOCK,
    GATE_TIMEOUT,
    LIMIT,
    SKIP,
    STALE_OK,
    WAIT,
    fleet_of,
    gate_seconds,
    typed_command,
    words,
)
from verbs.rendering import WHICH, require_current
from verbs.verb import agreed, agreed_meanwhile, verb
from verbs.workspace import place_of
from verbs.writing import write_text

LONGEST = 1024
"""More than any password has, in bytes."""


@verb(
    name="scan",
    help={
        "cluster": WHICH,
        "limit": LIMIT,
        "yes": "write without asking; compare the fingerprints afterwards in the diff",
    },
)
def scan_hosts(context: Context, cluster: str | None = None, limit: str | None = None, yes: bool = False) -> None:
    """Read the SSH host keys, show their fingerprints and write known_hosts, to be compared and committed.

    Example: invoke hosts.scan --cluster prod
    """
    place = place_of(cluster)
    tree = load_tree(place.rendered)
    path = place.inputs / "known_hosts"
    found = asyncio.run(scan(tree, path, words(limit)))
    console.table(
        ("host", "address", "key", "fingerprint", ""),
        ((k.host, k.address, k.kind, k.fingerprint, k.state) for k in found),
    )
    new = [key for key in found if key.state != "known"]
    if not new:
        console.say("every key is known")
        return
    if not agreed(f"write {len(new)} keys into clusters/{place.cluster}/known_hosts?", yes):
        raise RefusedError(f"{place.cluster}: nothing was written; run on a terminal and agree, or add --yes")
    write_text(path, known_hosts_text(path, found))
    console.say(
        f"clusters/{place.cluster}/known_hosts: {len(new)} keys written; compare them with the consoles and commit"
    )


@verb(
    name="authorize",
    help={
        "cluster": WHICH,
        "limit": LIMIT,
        "key": "a public key file; else that of SLIPWAY_SSH_KEY, else the first of ~/.ssh",
        "password-stdin": "read the password as one line from standard input",
        "dry-run": "say which hosts the key opens already and which would get it; exit 2 where any would",
        "json": AS_JSON,
    },
)
def authorize(
    context: Context,
    cluster: str | None = None,
    limit: str | None = None,
    key: str | None = None,
    password_stdin: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Put your public key on hosts that know only a password, asked for once and kept nowhere, and prove that it opens.

    Example: invoke hosts.authorize --cluster prod --key ~/.ssh/id_ed25519.pub
    """
    place = place_of(cluster)
    tree = load_tree(place.rendered)
    chosen = operator_key(key)
    outcomes = authorize_key(
        tree,
        ssh_fleet(tree, place.inputs),
        selected(tree, words(limit)),
        chosen,
        password_from_stdin if password_stdin else password_from_terminal,
        dry_run=dry_run,
    )
    if json:
        console.raw(dumps([asdict(one) for one in outcomes], indent=2) + "\n")
    else:
        console.say(f"key {chosen.path} ({chosen.fingerprint})")
        console.table(("host", "login", "", ""), ((one.host, one.login, one.state, one.detail) for one in outcomes))
    return exit_code(outcomes)


def exit_code(outcomes: list[Outcome]) -> int:
    """Return 1 where a host failed, 2 where a dry run found hosts to write to, else 0."""
    states = {one.state for one in outcomes}
    return 1 if FAILED in states else 2 if WOULD in states else 0


def password_from_stdin(prompt: str) -> str:
    """Return the line that standard input holds; raises RefusedError where there is none."""
    given = sys.stdin.readline(LONGEST).rstrip("\r\n")
    if not given:
        raise RefusedError("--password-stdin: standard input holds no password; write it there as one line")
    return given


def password_from_terminal(prompt: str) -> str:
    """Return the password, asked for without echo; raises RefusedError where there is no terminal."""
    if not sys.stdin.isatty():
        raise RefusedError(
            f"{prompt.rstrip(': ')}: there is no terminal to ask on; run this on one, or add --password-stdin"
        )
    return getpass.getpass(prompt)


@verb(
    name="reboot",
    help={
        "cluster": WHICH,
        "limit": f"{LIMIT}; these are rebooted whatever they run",
        "all": "every host, whatever it runs; else those that do not run the kernel of system.kernel",
        "json": "for programs: JSON instead of text; with --dry-run one document, else one JSON line for each event",
        "skip-unreachable": SKIP,
        "stale-ok": STALE_OK,
        "dry-run": "say which hosts would be rebooted and touch none; exit 2 where there are any",
        "break-lock": BREAK_LOCK,
        "wait": WAIT,
        "gate-timeout": GATE_TIMEOUT,
        "back-within": f"seconds that a host may take to answer from another boot, {BACK_SECONDS:.0f} by default",
        "yes": "do not ask",
    },
)
def reboot(
    context: Context,
    cluster: str | None = None,
    limit: str | None = None,
    all: bool = False,
    json: bool = False,
    skip_unreachable: bool = False,
    stale_ok: bool = False,
    dry_run: bool = False,
    break_lock: bool = False,
    wait: int = 0,
    gate_timeout: int = 0,
    back_within: int = 0,
    yes: bool = False,
) -> int:
    """Reboot hosts into the kernel that an apply has installed: one at a time, drained, behind the gates of an apply.

    Workers first, then the hosts of etcd and control plane. The first failure ends it; run it again to resume.

    Example: invoke hosts.reboot --cluster prod --limit worker-01
    """
    if back_within < 0:
        raise RefusedError(f"--back-within {back_within}: give the seconds that a host may take to boot, 1 or more")
    place = place_of(cluster)
    require_current(place, stale_ok)
    options = Options(
        limit=words(limit),
        skip_unreachable=skip_unreachable,
        break_lock=break_lock,
        wait=60.0 * wait,
        gate_seconds=gate_seconds(gate_timeout),
        stale_ok=stale_ok,
        dry_run=dry_run,
        command=typed_command(),
    )
    fleet = fleet_of(place, options, as_json=json)
    named = all or bool(options.limit)
    if dry_run:
        found = asyncio.run(reboot_plan(fleet, named=named))
        if json:
            console.raw(dumps(found.document, indent=2) + "\n")
        else:
            console.say("\n".join(found.lines))
        return found.exit_code

    async def agree(found: Choice) -> bool:
        for line in found.lines:
            console.tell(line)
        return yes or await agreed_meanwhile("reboot these?")

    asyncio.run(reboot_run(fleet, agree, named=named, seconds=float(back_within) or BACK_SECONDS))
    return 0


namespace = Collection("hosts", scan_hosts, authorize, reboot)
