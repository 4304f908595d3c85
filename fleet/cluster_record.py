"""The last object of an apply: which tree is applied, who applied it and when, with the spec and its overrides.

The ConfigMap kube-system/slipway-cluster answers, beside the cluster, what git answers beside the desk. No secret is in
it: the spec holds none, and one in which the marker of a private key is found is left out all the same. It is written
where tree or commit are other ones than it says, and counts as no change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from fleet.connection import printable
from fleet.kube import Api, Ref
from generator.formats.yaml_text import yaml_text

RECORD = Ref("v1", "ConfigMap", "kube-system", "slipway-cluster")
MOST_BYTES = 900 * 1024
"""What it may hold: the API takes 1 MiB in a ConfigMap."""
_SECRET_TEXT = re.compile("-----BEGIN [A-Z ]*PRIVATE KEY|AGE-SECRET-KEY-1")
"""What render refuses in texts of the spec (generator.spec.couplings_settings); a test holds them equal."""


@dataclass(frozen=True, slots=True)
class Applied:
    """An apply that went through all phases. `time` is when it ended (RFC 3339, UTC); `commit` as in `Commit`.

    `left_out` are hosts that it passed over. `spec` is cluster.yaml and `overrides` overrides.yaml, as text.
    """

    tree: str
    commit: str
    clean: bool
    operator: str
    time: str
    run: str
    command: str
    stale: bool
    versions: Mapping[str, str]
    spec: str
    overrides: str
    left_out: tuple[str, ...] = ()

    @property
    def data(self) -> dict[str, str]:
        """What goes into the ConfigMap; a spec that must not or cannot go in is left out, with the reason."""
        apply: dict[str, Any] = {
            "tree": self.tree, "commit": self.commit, "committed": self.clean, "operator": self.operator,
            "time": self.time, "run": self.run, "command": self.command, "staleOk": self.stale,
            "leftOut": list(self.left_out),
        }  # fmt: skip
        texts = {
            "cluster.yaml": self.spec,
            "overrides.yaml": self.overrides,
            "versions.yaml": yaml_text(dict(self.versions)),
        }
        size = sum(len(text.encode()) for text in texts.values())
        for name in ("cluster.yaml", "overrides.yaml"):
            if _SECRET_TEXT.search(texts[name]):
                why = "it holds the marker of a private key"
            elif size > MOST_BYTES:
                why = f"it is too large: {size // 1024} KiB, {MOST_BYTES // 1024} at most"
            else:
                continue
            size -= len(texts.pop(name).encode())
            apply.setdefault("notHere", {})[name] = why
        return {"apply.yaml": yaml_text(apply, sort=False), **texts}


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the API says of the last apply; texts are safe to print."""

    tree: str
    commit: str
    clean: bool
    operator: str
    time: str
    run: str
    left_out: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The tree and its commit for people, short."""
        commit = self.commit if self.commit == "no git" else f"commit {self.commit[:12]}"
        return f"tree {self.tree[:12]} ({commit}{'' if self.clean else ', not all of it committed'})"


async def read(api: Api) -> Recorded | None:
    """Return what is recorded; None where nothing is, or nothing that can be read."""
    found = await api.find(RECORD)
    return recorded_from((found or {}).get("data") or {})


def recorded_from(data: Mapping[str, str]) -> Recorded | None:
    """Return what the texts of the ConfigMap say, None where they are none that Slipway has written."""
    try:
        entry = yaml.safe_load(data.get("apply.yaml", ""))
        words = {name: printable(str(entry[name])) for name in ("tree", "commit", "operator", "time", "run")}
        left = tuple(printable(str(name)) for name in entry.get("leftOut") or ())
        return Recorded(**words, clean=bool(entry["committed"]), left_out=left)
    except (yaml.YAMLError, TypeError, KeyError, AttributeError):
        return None


async def write(api: Api, applied: Applied) -> bool:
    """Write an apply down; return False where tree, commit and hosts left out stand there already."""
    there = await read(api)
    said = (applied.tree, applied.commit, applied.clean, applied.left_out)
    if there is not None and (there.tree, there.commit, there.clean, there.left_out) == said:
        return False
    await api.apply(
        {
            "apiVersion": RECORD.api_version,
            "kind": RECORD.kind,
            "metadata": {"name": RECORD.name, "namespace": RECORD.namespace},
            "data": applied.data,
        },
        force=True,
    )
    return True
