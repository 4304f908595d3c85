"""Verbs for what is sealed: list it, seal it anew for other recipients, set registry credentials and addons' values."""

from __future__ import annotations

import getpass
import sys
from dataclasses import asdict
from json import dumps

from invoke.collection import Collection
from invoke.context import Context

from fleet.folding import folded
from fleet.secret_places import secret_places
from fleet.tree import load as load_tree
from generator.errors import RefusedError, StaleTreeError
from generator.pki.credentials import LONGEST, seal_credentials, seal_value, wanted_secret
from generator.pki.rekey import RekeyReport
from generator.pki.rekey import rekey as seal_anew
from generator.pki.sealed import sealed_secrets
from generator.pki.store import SEALED_FOR_ADDONS
from generator.sealing import RECIPIENTS_FILE, identity_once
from generator.spec import load
from verbs import console, rotation
from verbs.rendering import WHICH
from verbs.verb import agreed, verb
from verbs.workspace import Place, place_of

ROTATE = (
    "certs.renew for leaf keys, secrets.encryption and secrets.service-account for those keys, secrets.set for "
    "registries; a CA key that they could open stays known to them until the CA is replaced"
)


@verb(name="list", help={"cluster": WHICH, "json": "one JSON list instead of a table; docs/json.md has its keys"})
def list_(context: Context, cluster: str | None = None, json: bool = False) -> None:
    """List what is sealed: name, id, how many can open it, and where it goes on hosts; never a value.

    Example: invoke secrets.list --cluster prod
    """
    place = place_of(cluster)
    rows = sealed_secrets(place.inputs)
    places = places_of(place)
    if json:
        plain = [{**asdict(row), "places": {p: list(h) for p, h in places.get(row.name, {}).items()}} for row in rows]
        console.raw(dumps(plain, indent=2) + "\n")
        return
    console.table(
        ("name", "id", "recipients", "sealed in", "on hosts"),
        (
            (
                row.name,
                row.id or "none",
                str(row.recipients),
                row.file,
                " ".join(f"{folded(hosts)}:{path}" for path, hosts in places.get(row.name, {}).items()) or "nowhere",
            )
            for row in rows
        ),
    )


def places_of(place: Place) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return where each secret goes by the rendered tree; nothing where there is none yet."""
    try:
        found = secret_places(load_tree(place.rendered))
    except StaleTreeError:
        return {}
    return {name: dict(paths) for name, paths in found.items()}


@verb(
    name="set",
    help={
        "name": "which secret: registry/HOST, for a registry with credentials: true in the spec, or addons/NAME",
        "user": "the user that logs in to the registry; asked for on the terminal where it is left out",
        "cluster": WHICH,
        "dry-run": "say what would be sealed, and neither ask for a password nor write",
    },
)
def set_(context: Context, name: str, user: str = "", cluster: str | None = None, dry_run: bool = False) -> int:
    """Seal the credentials of a registry, or a value for an addon: from the terminal, or on standard input.

    A password is one line; a value for an addon may be several, such as a certificate with its key.

    Example: invoke secrets.set --name registry/registry.example.net:5000 --user robot
    """
    place = place_of(cluster)
    model = load(place.root, place.cluster)
    secret = wanted_secret(model, name)
    if dry_run:
        console.say(f"would seal clusters/{place.cluster}/secrets/{secret}.age under a new id")
        return 2
    if secret.startswith(SEALED_FOR_ADDONS):
        identifier = seal_value(model, place.inputs, secret, given_value(f"value of {secret}"))
        console.say(f"sealed {secret}, id {identifier}; `invoke render`, review, commit, `invoke apply`")
        return 0
    user = user or asked_user(secret)
    identifier = seal_credentials(model, place.inputs, secret, user, given_password(f"password of {user} for {secret}"))
    console.say(
        f"sealed {secret}, id {identifier}; `invoke render`, review, commit, `invoke apply`, which restarts containerd "
        "on the nodes, as many at once as their pools allow; containers run on"
    )
    return 0


def asked_user(secret: str) -> str:
    """Return the user, asked for on the terminal; raises RefusedError where there is none."""
    if not sys.stdin.isatty():
        raise RefusedError(f"{secret}: there is no terminal to ask for the user on; give it with --user")
    return input(f"user for {secret}: ").strip()


def given_password(prompt: str) -> str:
    """Return a password: asked for without echo on a terminal, else the line that standard input holds."""
    if sys.stdin.isatty():
        return getpass.getpass(f"{prompt}: ")
    return sys.stdin.read(LONGEST + 2).removesuffix("\n").removesuffix("\r")


def given_value(prompt: str) -> str:
    """Return a value: one line asked for without echo on a terminal, else all that standard input holds."""
    return getpass.getpass(f"{prompt}: ") if sys.stdin.isatty() else sys.stdin.read(LONGEST + 1)


@verb(
    name="rekey",
    help={
        "cluster": WHICH,
        "dry-run": "open and prove everything, say what would be sealed anew, write nothing; exit 2",
        "yes": "agree to shut yourself out where your identity is not among the recipients",
    },
)
def rekey(context: Context, cluster: str | None = None, dry_run: bool = False, yes: bool = False) -> int:
    """Seal every sealed file anew for those whom recipients.txt names now; no value, id or rendered byte changes.

    Example: invoke secrets.rekey --cluster prod
    """
    place = place_of(cluster)
    report = seal_anew(
        place.inputs, identity=identity_once(), dry_run=dry_run, agree=lambda question: agreed(question, yes)
    )
    print_rekeyed(place, report, dry_run=dry_run)
    return 2 if dry_run else 0


def print_rekeyed(place: Place, report: RekeyReport, *, dry_run: bool) -> None:
    """Print for whom the files are sealed now, and what a recipient who left still knows."""
    for recipient in report.added:
        console.say(f"new: {recipient}")
    for recipient in report.removed:
        console.say(f"gone: {recipient}")
    if not report.added and not report.removed:
        console.say("git and the files tell of no other recipients than before")
    what = "would be sealed" if dry_run else "sealed"
    console.say(
        f"{len(report.files)} files {what} for {report.recipients} recipients of "
        f"clusters/{place.cluster}/{RECIPIENTS_FILE}; rendered/{place.cluster} stays as it is, commit"
    )
    if report.removed:
        console.warn(f"who is gone can still open what old commits hold, so replace the secrets themselves: {ROTATE}")


namespace = Collection(
    "secrets", list_, set_, rekey, rotation.encryption, rotation.service_account, rotation.rewrite_objects
)
