"""Where the rotation of a key stands: which key leads, which others are still known, what was proved, what is retired.

    clusters/<c>/secrets/encryption.yaml        writer, readers, rewritten, retired
    clusters/<c>/secrets/service-account.yaml   signer, verifiers, switched, retired

Written by the verbs secrets.encryption and secrets.service-account, read by people as a diff. A cluster without the
file never rotated: its only encryption key writes, and its service-account pair is "sa". Nothing in it is
secret. The last line is a digest of the others: a state is the outcome of a step that was proved, so one that was
edited by hand is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from generator.errors import PkiError
from generator.formats.natural import natural_order
from generator.formats.yaml_text import yaml_text
from generator.sealing import shown

STEPS = ("steady", "added", "leading", "settled")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of rotated key: its file, its words in that file, and the verb that makes the steps."""

    file: str
    lead: str
    others: str
    settled: str
    verb: str
    title: str


ENCRYPTION = Kind(
    "secrets/encryption.yaml", "writer", "readers", "rewritten", "secrets.encryption", "encryption at rest"
)
SERVICE_ACCOUNT = Kind(
    "secrets/service-account.yaml",
    "signer",
    "verifiers",
    "switched",
    "secrets.service-account",
    "service-account tokens",
)


@dataclass(frozen=True, slots=True)
class Rotation:
    """The state of one kind of key. `lead` writes or signs; `others`, newest first, are read or verified with.

    `settled` is what was recorded about the present lead: for encryption that all objects were rewritten with it, for
    service accounts since when every API server signs with it; empty before. `retired` keys are no longer on hosts;
    they stay sealed, since a backup of etcd may need one.
    """

    kind: Kind
    lead: str
    others: tuple[str, ...] = ()
    settled: Mapping[str, Any] | None = None
    retired: tuple[str, ...] = ()

    @property
    def known(self) -> tuple[str, ...]:
        """All keys that API servers are to know, the lead first."""
        return (self.lead, *self.others) if self.lead else ()

    @property
    def newest(self) -> str:
        """The newest key that API servers are to know."""
        return max(self.known, key=natural_order, default="")

    @property
    def step(self) -> str:
        """Where the rotation stands.

        "steady": one key. "added": a newer key is known and does not lead yet. "leading": it leads, older ones are
        still needed. "settled": they are not.
        """
        if not self.others:
            return "steady"
        if self.newest != self.lead:
            return "added"
        return "settled" if self.settled and self.settled.get(self.kind.lead) == self.lead else "leading"


def state_path(cluster_dir: Path, kind: Kind) -> Path:
    """Return where a state lies."""
    return cluster_dir / kind.file


def read_state(cluster_dir: Path, kind: Kind) -> Rotation | None:
    """Return the state as written down, None where the cluster never rotated; raises PkiError for a spoilt file."""
    path = state_path(cluster_dir, kind)
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise _spoilt(path, kind, "the file cannot be read") from None
    try:
        return parse_state(text, kind)
    except ValueError as error:
        raise _spoilt(path, kind, str(error)) from None


def parse_state(text: str, kind: Kind) -> Rotation:
    """Return the state in a text; raises ValueError with what is wrong."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ValueError("it is no YAML") from None
    if not isinstance(found, dict) or not {kind.lead, "digest"} <= set(found):
        raise ValueError(f"{kind.lead} or digest is missing")
    digest = found.pop("digest")
    unknown = sorted(set(map(str, found)) - {kind.lead, kind.others, kind.settled, "retired"})
    if unknown:
        raise ValueError(f"{', '.join(unknown)} is not known here")
    if digest != _digest(found):
        raise ValueError("it was edited by hand, its digest does not fit")
    state = Rotation(
        kind,
        _name(found[kind.lead]),
        tuple(_name(one) for one in found.get(kind.others) or ()),
        dict(found[kind.settled]) if found.get(kind.settled) else None,
        tuple(_name(one) for one in found.get("retired") or ()),
    )
    every = (*state.known, *state.retired)
    if len(every) != len(set(every)):
        raise ValueError("a key stands in it twice")
    return state


def state_text(state: Rotation) -> str:
    """Return a state as its file says it."""
    kind = state.kind
    values: dict[str, Any] = {kind.lead: state.lead}
    if state.others:
        values[kind.others] = list(state.others)
    if state.settled:
        values[kind.settled] = dict(state.settled)
    if state.retired:
        values["retired"] = list(state.retired)
    head = f"# written by `invoke {kind.verb}`, for review; edits by hand are refused\n"
    return head + yaml_text({**values, "digest": _digest(values)}, sort=False)


def newest_first(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of keys, the newest first."""
    return tuple(sorted(names, key=natural_order, reverse=True))


def _digest(values: Mapping[str, Any]) -> str:
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no name of a key")
    return value


def _spoilt(path: Path, kind: Kind, what: str) -> PkiError:
    return PkiError(
        f"{shown(path)}: {what}; restore it from git, and let `invoke {kind.verb}` make the steps of a rotation"
    )
