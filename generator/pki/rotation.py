"""The steps of a rotation as changes of clusters/<c>: a new key, who leads, what was proved, what is retired.

Each function makes one step and refuses any other (RefusedError), so that a state is only ever one step away from the
one before. What must be true on hosts and in the API before a step is proved by whoever calls, before it calls. A
killed step leaves whole files: a key that no state names is in no rendered file, and the next step takes its place.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from generator import sealing
from generator.errors import RefusedError
from generator.pki.certificates import SERVICE_ACCOUNT as FIRST_PAIR
from generator.pki.issue import ENCRYPTION_KEY_BYTES
from generator.pki.keys import key_algorithm, key_id, key_pem, new_key, public_pem
from generator.pki.rotation_state import ENCRYPTION, SERVICE_ACCOUNT, Kind, Rotation, newest_first, state_text
from generator.pki.store import INDEX_FILE, PkiStore, index_text
from generator.pki.words import public_key_text
from generator.pki.writing import Changes
from generator.spec.model import Cluster


@dataclass(frozen=True, slots=True)
class Place:
    """One cluster's inputs, and the spec in them."""

    cluster: Cluster
    dir: Path

    def store(self) -> PkiStore:
        """Return the store, read anew."""
        return PkiStore(self.dir)

    def rotation(self, kind: Kind) -> Rotation:
        """Return where a rotation stands; raises PkiError where its file is spoilt."""
        store = self.store()
        return store.encryption_rotation() if kind is ENCRYPTION else store.service_account_rotation()


def add_key(place: Place, kind: Kind) -> Rotation:
    """Make a new key that API servers are to know and that leads nowhere yet; returns the new state.

    Raises RefusedError in the middle of a rotation, or where nothing is encrypted.
    """
    state = _at(place, kind, "steady", "a new key is added")
    if kind is ENCRYPTION and not (place.cluster.encryption.provider and state.lead):
        raise RefusedError(
            f"{place.cluster.name}: nothing is encrypted at rest, so there is no key to rotate; set encryption.provider"
        )
    # Written down first as it is: from here on a key that no state names is one that nobody uses.
    _write(place, state)
    name = _new_encryption_key(place, state) if kind is ENCRYPTION else _new_pair(place, state)
    return _write(place, replace(state, others=newest_first((*state.others, name))))


def promote_key(place: Place, kind: Kind) -> Rotation:
    """Let the newest key lead, which all API servers know by now; returns the new state."""
    state = _at(place, kind, "added", "the new key leads")
    others = newest_first([name for name in state.known if name != state.newest])
    return _write(place, replace(state, lead=state.newest, others=others, settled=None))


def settle(place: Place, kind: Kind, facts: Mapping[str, Any]) -> Rotation:
    """Record what was proved about the key that leads; returns the new state."""
    state = place.rotation(kind)
    if state.step not in {"leading", "settled"}:
        raise RefusedError(f"{place.cluster.name}: {kind.title}: there is nothing to record while {_stands(state)}")
    return _write(place, replace(state, settled={kind.lead: state.lead, "id": _id(place, state.lead), **facts}))


def drop_keys(place: Place, kind: Kind) -> Rotation:
    """Let API servers forget the keys that do not lead; they stay sealed, since a backup may need them."""
    state = _at(place, kind, "settled", "the old key is dropped")
    return _write(place, replace(state, others=(), retired=newest_first((*state.retired, *state.others))))


def _at(place: Place, kind: Kind, step: str, wanted: str) -> Rotation:
    state = place.rotation(kind)
    if state.step != step:
        raise RefusedError(
            f"{place.cluster.name}: {kind.title}: it is not yet, or no more, time that {wanted}: {_stands(state)}; "
            f"run `invoke {kind.verb} --cluster {place.cluster.name}`, which says what comes next"
        )
    return state


def _stands(state: Rotation) -> str:
    kind = state.kind
    match state.step:
        case "steady":
            return f"{state.lead} is the only key"
        case "added":
            return f"{state.newest} was added and {state.lead} is the {kind.lead}"
        case "leading":
            return f"{state.lead} is the {kind.lead} and nothing is recorded as {kind.settled}"
        case _:
            return f"{state.lead} is the {kind.lead}, recorded as {kind.settled}"


def _new_encryption_key(place: Place, state: Rotation) -> str:
    store = place.store()
    listed = dict(store.index())
    taken = {*state.known, *state.retired}
    left = [f"encryption/{path.name.removesuffix('.age')}" for path in (place.dir / "secrets/encryption").glob("*.age")]
    # A sealed key outside the state is what a killed step has left: encryption keys are never thrown away, so it is
    # taken up.
    waiting = newest_first([name for name in left if name not in taken])
    name = waiting[0] if waiting else f"encryption/{_next_number([*taken, *listed])}"
    changes = Changes()
    if not waiting:
        value = base64.b64encode(secrets.token_bytes(ENCRYPTION_KEY_BYTES))
        recipients = sealing.cluster_recipients(place.dir)
        changes.put(sealing.sealed_path(place.dir, name), sealing.seal(value, recipients))
    if name not in listed:
        changes.put(place.dir / INDEX_FILE, index_text({**listed, name: secrets.token_hex(8)}))
    changes.write()
    return name


def _new_pair(place: Place, state: Rotation) -> str:
    store = place.store()
    name = f"{FIRST_PAIR}-{_next_number([*state.known, *state.retired])}"
    key = new_key(place.cluster.pki.algorithm)
    sealed = sealing.seal(key_pem(key), sealing.cluster_recipients(place.dir))
    text = public_key_text(key_algorithm(key), key_id(key), public_pem(key))
    changes = Changes()
    changes.replace_pair(store.key_path(name), sealed, store.path(f"{name}.pub"), text)
    changes.write()
    return name


def _next_number(names: list[str]) -> int:
    """Return the number after the highest one that ends a name; a name without a number counts as 1."""
    numbers = [name.rpartition("/")[2].rpartition("-")[2] for name in names]
    return 1 + max((int(number) if number.isdecimal() else 1 for number in numbers), default=0)


def _id(place: Place, name: str) -> str:
    return place.store().secret_id(name if name.startswith("encryption/") else f"pki/{name}")


def _write(place: Place, state: Rotation) -> Rotation:
    changes = Changes()
    changes.put(place.dir / state.kind.file, state_text(state))
    changes.write()
    return place.rotation(state.kind)


__all__ = ["ENCRYPTION", "SERVICE_ACCOUNT", "Place", "add_key", "drop_keys", "promote_key", "settle"]
