"""Verbs that rotate encryption keys and the service-account key, one reviewed step at a time."""

from __future__ import annotations

from json import dumps
from typing import Any

from invoke.context import Context

from fleet.options import Options
from fleet.standing import Fleet
from generator.pki.rotation import ENCRYPTION, SERVICE_ACCOUNT
from generator.pki.rotation import Place as Inputs
from generator.pki.rotation_state import Kind, Rotation
from generator.spec import load
from verbs import console
from verbs.host_options import BREAK_LOCK, WAIT, fleet_of, typed_command
from verbs.rendering import WHICH, require_current
from verbs.rotation_steps import Step, make, rewrite, words_of
from verbs.verb import agreed, verb
from verbs.workspace import Place, place_of

NEXT = "make the next step, after proof that every API server has the step before"
DRY_RUN = "prove what the step needs and change nothing; exit 2"
AS_JSON = "one JSON object instead of text; docs/json.md has its keys"
REVIEW = "invoke render, review and commit, invoke apply"


@verb(
    name="encryption",
    help={
        "cluster": WHICH,
        "next": NEXT,
        "dry-run": DRY_RUN,
        "json": AS_JSON,
        "break-lock": BREAK_LOCK,
        "wait": WAIT,
    },
)
def encryption(
    context: Context,
    cluster: str | None = None,
    next: bool = False,
    dry_run: bool = False,
    json: bool = False,
    break_lock: bool = False,
    wait: int = 0,
) -> int:
    """Show where the rotation of the encryption keys stands, or make its next step. Exit 2 while one is under way.

    Example: invoke secrets.encryption --cluster prod --next
    """
    place = place_of(cluster)
    step = _step(place, ENCRYPTION, dry_run=dry_run, break_lock=break_lock, wait=wait)
    return _run(place, step, next=next, as_json=json)


@verb(
    name="service-account",
    help={
        "cluster": WHICH,
        "next": NEXT,
        "dry-run": DRY_RUN,
        "json": AS_JSON,
        "void-old-tokens": "drop the old key although tokens of it may be in use; each of them is refused from then on",
        "yes": "do not ask before tokens are made void",
    },
)
def service_account(
    context: Context,
    cluster: str | None = None,
    next: bool = False,
    dry_run: bool = False,
    json: bool = False,
    void_old_tokens: bool = False,
    yes: bool = False,
) -> int:
    """Show where the rotation of the service-account key stands, or make its next step. Exit 2 while one is under way.

    Example: invoke secrets.service-account --cluster prod --next
    """
    place = place_of(cluster)
    step = _step(place, SERVICE_ACCOUNT, dry_run=dry_run, void_tokens=void_old_tokens, yes=yes)
    return _run(place, step, next=next, as_json=json)


@verb(
    name="rewrite",
    help={
        "cluster": WHICH,
        "dry-run": "count the objects and write none; exit 2",
        "json": AS_JSON,
        "break-lock": BREAK_LOCK,
        "wait": WAIT,
    },
)
def rewrite_objects(
    context: Context,
    cluster: str | None = None,
    dry_run: bool = False,
    json: bool = False,
    break_lock: bool = False,
    wait: int = 0,
) -> int:
    """Write all objects of the encrypted resources anew with the key that writes now; run it again to resume.

    Example: invoke secrets.rewrite --cluster prod
    """
    place = place_of(cluster)
    done, state = rewrite(_step(place, ENCRYPTION, dry_run=dry_run, break_lock=break_lock, wait=wait))
    if json:
        console.raw(dumps({"objects": dict(done.objects), "gone": done.gone, "writer": state.lead}, indent=2) + "\n")
        return 2 if dry_run else 0
    counts = ", ".join(f"{count} {name}" for name, count in done.objects.items())
    if dry_run:
        console.say(f"{place.cluster}: would write anew with {state.lead}: {counts}")
        return 2
    console.say(f"{place.cluster}: written anew with {state.lead}: {counts}")
    if state.step == "settled":
        console.say(f"recorded in clusters/{place.cluster}/{ENCRYPTION.file}; commit it")
    return 0


def _step(
    place: Place,
    kind: Kind,
    *,
    dry_run: bool,
    void_tokens: bool = False,
    yes: bool = False,
    break_lock: bool = False,
    wait: int = 0,
) -> Step:
    def fleet() -> Fleet:
        require_current(place, stale_ok=False)
        options = Options(dry_run=dry_run, break_lock=break_lock, wait=60.0 * wait, command=typed_command())
        return fleet_of(place, options, as_json=False)

    return Step(
        Inputs(load(place.root, place.cluster), place.inputs),
        kind,
        fleet,
        lambda question: agreed(question, yes),
        void_tokens,
        dry_run,
    )


def _run(place: Place, step: Step, *, next: bool, as_json: bool) -> int:
    before = step.place.rotation(step.kind)
    if not next:
        _print(place, before, as_json=as_json)
        return 0 if before.step == "steady" else 2
    after = make(step)
    if step.dry_run:
        if as_json:
            _print(place, before, as_json=True)
        else:
            console.say(f"{place.cluster}: everything is ready for this step: {words_of(before)}")
        return 2
    if not as_json:
        console.say(f"{place.cluster}: done: {words_of(before)}")
    _print(place, after, as_json=as_json, made=before.step)
    return 0


def _print(place: Place, state: Rotation, *, as_json: bool, made: str = "") -> None:
    """Print a state and the next command; `made` names the step that was just made."""
    # Only what a record changes needs no render: nothing on hosts follows from it.
    reviewed = made in {"steady", "added", "settled"}
    command = f"invoke {state.kind.verb} --cluster {place.cluster} --next"
    if as_json:
        console.raw(dumps(_plain(state, place, command), indent=2) + "\n")
        return
    if not state.lead:
        console.say(f"{place.cluster}: {state.kind.title}: there is no key")
        return
    console.say(f"{place.cluster}: {state.kind.title}")
    console.say(f"  {state.kind.lead}: {state.lead}")
    if state.others:
        console.say(f"  other {state.kind.others}: {', '.join(state.others)}")
    if state.step == "settled" and state.settled:
        console.say(f"  {state.kind.settled}: {state.settled.get('time', '')} {_counts(state)}".rstrip())
    if state.retired:
        console.say(f"  retired, kept sealed for old backups: {', '.join(state.retired)}")
    if reviewed:
        console.say(f"now: {REVIEW}")
    elif made:
        console.say(f"now: commit clusters/{place.cluster}/{state.kind.file}")
    if state.step == "steady" and made:
        console.say("the rotation ends with that")
    else:
        console.say(f"{'then' if made else 'next'}: {words_of(state)}")
        console.say(f"      {command}")


def _counts(state: Rotation) -> str:
    objects = (state.settled or {}).get("objects") or {}
    return f"({', '.join(f'{count} {name}' for name, count in objects.items())})" if objects else ""


def _plain(state: Rotation, place: Place, command: str) -> dict[str, Any]:
    kind = state.kind
    return {
        "cluster": place.cluster,
        "step": state.step,
        kind.lead: state.lead,
        kind.others: list(state.others),
        kind.settled: dict(state.settled) if state.settled else None,
        "retired": list(state.retired),
        "next": {"what": words_of(state), "command": command},
    }
