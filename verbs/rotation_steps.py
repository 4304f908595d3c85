"""One step of a rotation: what must be proved on hosts and in the API first, then the change of clusters/<c>."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fleet import rotation as proofs
from fleet.rewrite import Rewritten
from fleet.rotation import Keys
from fleet.standing import Fleet
from fleet.token_life import Left
from generator.errors import PkiError, RefusedError
from generator.pki import rotation as steps
from generator.pki.rotation import ENCRYPTION, SERVICE_ACCOUNT
from generator.pki.rotation_state import Kind, Rotation

WORDS: Mapping[str, Mapping[str, str]] = {
    ENCRYPTION.verb: {
        "steady": "begin a rotation: make a new key that every API server can read with (1 of 4)",
        "added": "make {newest} the key that writes, once every API server reads with it (2 of 4)",
        "leading": "write all objects anew, so that none needs {old} any more (3 of 4)",
        "settled": "drop {old} (4 of 4)",
    },
    SERVICE_ACCOUNT.verb: {
        "steady": "begin a rotation: make a new pair whose tokens every API server accepts (1 of 4)",
        "added": "make {newest} the pair that signs, once every API server accepts its tokens (2 of 4)",
        "leading": "record since when everybody signs with {lead}, once that is so (3 of 4)",
        "settled": "drop {old}, once no token needs it (4 of 4)",
    },
}
"""What the next step does, by where a rotation stands."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a step needs: the inputs, the kind of key, and the hosts and API as they are with the rendered tree.

    `fleet` is called only by a step that must prove something. `agree` is asked before tokens are made void; with
    `void_tokens` that is what the operator wants. `dry_run` proves everything and changes nothing.
    """

    place: steps.Place
    kind: Kind
    fleet: Callable[[], Fleet]
    agree: Callable[[str], bool] = lambda _: False
    void_tokens: bool = False
    dry_run: bool = False


def words_of(state: Rotation) -> str:
    """Return what the next step of a rotation does, in words."""
    text = WORDS[state.kind.verb][state.step]
    return text.format(lead=state.lead, newest=state.newest, old=", ".join(state.others))


def keys_of(state: Rotation) -> Keys:
    """Return the keys of a state as fleet looks for them."""
    return Keys(state.lead, state.known)


def make(step: Step) -> Rotation:
    """Make the next step and return the new state; raises RefusedError where it is not time for it."""
    state = step.place.rotation(step.kind)
    match state.step:
        case "steady":
            return state if step.dry_run else steps.add_key(step.place, step.kind)
        case "added":
            _prove(step, state, f"{state.newest} becomes the {step.kind.lead}")
            return state if step.dry_run else steps.promote_key(step.place, step.kind)
        case "leading":
            return _settled(step, state)
        case _:
            _require_droppable(step, state)
            return state if step.dry_run else steps.drop_keys(step.place, step.kind)


def rewrite(step: Step) -> tuple[Rewritten, Rotation]:
    """Write all objects anew and record it where a rotation waits for that; returns the counts and the state."""
    state = step.place.rotation(ENCRYPTION)
    fleet = step.fleet()
    done = asyncio.run(proofs.rewrite_run(fleet, keys_of(state)))
    if step.dry_run or state.step not in {"leading", "settled"}:
        return done, state
    facts = {"time": _text(fleet.clock()), "tree": fleet.tree.digest[:16], "objects": dict(done.objects)}
    return done, steps.settle(step.place, ENCRYPTION, facts)


def _settled(step: Step, state: Rotation) -> Rotation:
    if step.kind is ENCRYPTION:
        return rewrite(step)[1]
    fleet = _prove(step, state, f"it is recorded that {state.lead} signs")
    if step.dry_run:
        return state
    facts = {"time": _text(fleet.clock()), **proofs.token_lives(fleet.tree).record()}
    return steps.settle(step.place, step.kind, facts)


def _prove(step: Step, state: Rotation, what: str) -> Fleet:
    fleet = step.fleet()
    proof = proofs.prove_encryption if step.kind is ENCRYPTION else proofs.prove_service_account
    asyncio.run(proof(fleet, keys_of(state), what))
    return fleet


def _require_droppable(step: Step, state: Rotation) -> None:
    what = f"{', '.join(state.others)} is dropped"
    if step.kind is ENCRYPTION:
        # Once more: a host that was put back meanwhile would write with the old key what was written anew.
        _prove(step, state, what)
        return
    fleet = step.fleet()
    since, recorded = _switched(step, state)
    left = asyncio.run(proofs.tokens_run(fleet, keys_of(state), since, recorded))
    reasons = token_reasons(left, fleet.clock())
    if not reasons:
        return
    told = f"{step.place.cluster.name}: tokens that {', '.join(state.others)} has signed may be in use:\n" + "\n".join(
        f"  {reason}" for reason in reasons
    )
    if not step.void_tokens:
        raise RefusedError(
            f"{told}\n--void-old-tokens drops it all the same: every one of these tokens is refused (401) from the "
            "next apply on, and what uses them stops until it gets another"
        )
    if not step.dry_run and not step.agree(f"{told}\nmake all of them void?"):
        raise RefusedError(f"{told}\nnothing was changed; agree on a terminal, or add --yes")


def token_reasons(left: Left, now: datetime) -> list[str]:
    """Return why tokens of an older key may still be in use, each with what to do; nothing when none can be."""
    reasons = []
    if left.secrets:
        reasons.append(
            f"{len(left.secrets)} Secrets hold tokens that never end: {_some(left.secrets)}; take the token out of "
            "each, and the controller manager puts in a new one: kubectl -n NAMESPACE patch secret NAME --type=json "
            """-p '[{"op":"remove","path":"/data/token"}]'; then give it to whoever has a copy"""
        )
    if left.pods and now < left.pods_until:
        reasons.append(
            f"{len(left.pods)} pods are older than the switch, and tokens of theirs hold until "
            f"{_text(left.pods_until)}: {_some(left.pods)}; make them anew (kubectl rollout restart), and theirs end "
            "with them, or wait"
        )
    if now < left.requested_until:
        reasons.append(
            f"tokens that somebody asked for (kubectl create token) hold until {_text(left.requested_until)}; wait. "
            "One with a longer life is recorded nowhere, unless service-account-max-token-expiration limits it"
        )
    return reasons


def _switched(step: Step, state: Rotation) -> tuple[datetime, Mapping[str, Any]]:
    recorded = state.settled or {}
    try:
        since = datetime.fromisoformat(str(recorded["time"]))
    except (KeyError, ValueError):
        raise PkiError(
            f"clusters/{step.place.cluster.name}/{step.kind.file}: {step.kind.settled} has no time; restore the file "
            "from git"
        ) from None
    return since if since.tzinfo else since.replace(tzinfo=UTC), recorded


def _text(moment: datetime) -> str:
    return (moment.astimezone(UTC) + timedelta(microseconds=999_999)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
