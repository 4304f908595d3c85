"""No render skips a step of a rotation: the tree that lies there is compared with the one that would take its place.

What a skipped step costs is silent until it is too late: an API server that meets a value of a key that it does not
know cannot read it, and every token is void that a forgotten key has signed. Where no tree lies there nothing can be
compared; then the state files alone speak, and an edited one is refused when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from generator.errors import RenderError
from generator.formats.encryption_config import encryption_config
from generator.pki.rotation_state import ENCRYPTION, SERVICE_ACCOUNT, Kind, Rotation
from generator.pki.store import PkiStore
from generator.render.tree import Tree

FOLDER = "components/kube-apiserver"
CONFIG = "etc/kubernetes/encryption.yaml"
PAGE = "pki.yaml"
_KEYS = b"\nkeys:\n"


@dataclass(frozen=True, slots=True)
class _Known:
    """The keys of one kind in a tree: the one that leads, and the ids of all by name; empty where there is none."""

    lead: str
    ids: Mapping[str, str]


def refuse_skipped_steps(cluster: str, there: Tree, tree: Tree, store: PkiStore) -> None:
    """Raise RenderError where a tree, put in the place of another one, would skip a step of a rotation."""
    for kind, known in ((ENCRYPTION, _encryption), (SERVICE_ACCOUNT, _service_account)):
        try:
            old = known(there)
        except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError, yaml.YAMLError):
            raise RenderError(
                f"{cluster}: rendered/{cluster} is not as render wrote it, so it cannot be seen whether a step of the "
                f"rotation of {kind.title} would be skipped; restore it from git, then render again"
            ) from None
        state = store.encryption_rotation() if kind is ENCRYPTION else store.service_account_rotation()
        reason = _skipped(kind, old, known(tree), state)
        if reason:
            raise RenderError(
                f"{cluster}: {kind.title}: {reason}; restore clusters/{cluster}/secrets and pki from git, and let "
                f"`invoke {kind.verb} --cluster {cluster}` make one step at a time"
            )


def tree_files(folder: Path) -> Tree:
    """Return of a tree on disk the files that tell of keys."""
    paths = (f"{FOLDER}/manifest.yaml", f"{FOLDER}/rootfs/{CONFIG}", PAGE)
    return {path: (folder / path).read_bytes() for path in paths if (folder / path).is_file()}


def _skipped(kind: Kind, old: _Known, new: _Known, state: Rotation) -> str:
    """Return which step the new tree would skip, "" where it skips none."""
    if not old.ids:
        return ""
    for name, identity in new.ids.items():
        if old.ids.get(name, identity) != identity:
            return f"{name} would become another key under the same name, and what was made with it would be lost"
    if new.lead and new.lead != old.lead and new.lead not in old.ids:
        return f"{new.lead} would be the {kind.lead}, and API servers do not know it yet as one of the {kind.others}"
    dropped = sorted(old.ids.keys() - new.ids.keys())
    if old.lead in dropped:
        return f"{old.lead} would be dropped, and it is the {kind.lead}"
    settled = state.settled or {}
    proved = settled.get(kind.lead) == old.lead == new.lead and settled.get("id") == old.ids.get(old.lead)
    if dropped and not proved:
        return f"{', '.join(dropped)} would be dropped, and nothing is recorded as {kind.settled} for {old.lead}"
    return ""


def _encryption(tree: Tree) -> _Known:
    content = tree.get(f"{FOLDER}/rootfs/{CONFIG}")
    if content is None:
        return _Known("", {})
    config = encryption_config(content.decode("utf-8"))
    items: list[Mapping[str, Any]] = yaml.safe_load(tree[f"{FOLDER}/manifest.yaml"])["items"]
    ids = next(item["secrets"] for item in items if item.get("path") == f"/{CONFIG}")
    return _Known(config.writer, {name: str(ids[name]) for name in config.keys})


def _service_account(tree: Tree) -> _Known:
    content = tree.get(PAGE)
    if content is None:
        return _Known("", {})
    # The page of a large cluster is long; what is asked for stands at its end.
    entries = yaml.safe_load(content[content.index(_KEYS) + 1 :])["keys"]
    lead = next(str(entry["name"]) for entry in entries if any(".key on " in place for place in entry["places"]))
    return _Known(lead, {str(entry["name"]): str(entry["keyId"]) for entry in entries})
