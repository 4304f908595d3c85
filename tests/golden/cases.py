"""The golden cases: whole trees of two clusters, and variations of which only the files that differ are kept.

    clusters/<c>/cluster.yaml, files/, addons.jsonnet    a cluster as people write it
    clusters/<c>/rendered/                               its whole tree
    variations/<behaviour>/case.yaml                     base (a cluster, minimal if not said), about, and a patch;
                                                         keys: where a rotation stands, the key that leads first
    variations/<behaviour>/rendered/                     the files that are new or other than the base's; one of which
                                                         most is as in the base is kept as <file>.diff: what differs
    variations/<behaviour>/vanished.txt                  the files of the base that it has not

Certificates appear as their requests, so that no PEM and no time stands in a golden.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from generator.artifacts_lock import read_lock
from generator.formats.merge import Layer, merged
from generator.pki.request_material import RequestMaterial
from generator.render import render
from generator.render.tree import Tree, read_tree
from generator.spec import load_text
from generator.spec.model import Cluster

GOLDEN = Path(__file__).parent
CLUSTERS = sorted(path.parent.name for path in (GOLDEN / "clusters").glob("*/cluster.yaml"))
VARIATIONS = sorted(path.parent.name for path in (GOLDEN / "variations").glob("*/case.yaml"))
VANISHED = "vanished.txt"
ENCRYPTION = ("encryption/1",)
SERVICE_ACCOUNT = ("sa",)


@dataclass(frozen=True)
class Case:
    """One case: its folder and what the inputs give for it now, with vanished.txt where something vanished."""

    name: str
    folder: Path

    def expected(self) -> dict[str, bytes]:
        """Return what was written down."""
        rendered = self.folder / "rendered"
        files = read_tree(rendered) if rendered.is_dir() else {}
        vanished = self.folder / VANISHED
        return {**files, VANISHED: vanished.read_bytes()} if vanished.is_file() else files

    def actual(self) -> Mapping[str, bytes]:
        """Return what is to be written down."""
        if self.folder.parent.name == "clusters":
            return cluster_tree(self.name)
        base = cluster_tree(self.base)
        tree = variation_tree(self.name)
        changed = {path: content for path, content in tree.items() if base.get(path) != content}
        found = dict(_kept(path, content, base.get(path)) for path, content in changed.items())
        vanished = sorted(base.keys() - tree.keys())
        return {**found, VANISHED: "".join(f"{path}\n" for path in vanished).encode()} if vanished else found

    @property
    def base(self) -> str:
        """The cluster of which this is a variation."""
        return str(_case(self.name).get("base", "minimal"))


def _kept(path: str, content: bytes, base: bytes | None) -> tuple[str, bytes]:
    """Return what a variation keeps of a file: all of it, or its hunks where they are less than half of it."""
    lines = content.decode().splitlines()
    if base is not None and len(hunks := _hunks(base.decode().splitlines(), lines)) * 2 < len(lines):
        return f"{path}.diff", "".join(f"{line}\n" for line in hunks).encode()
    return path, content


def _hunks(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Return what differs, with a line around it and the last line before it that begins a section.

    There are no numbers of lines, so that a hunk stays as it is when the base changes elsewhere.
    """
    lines: list[str] = []
    for group in difflib.SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(1):
        above = (line for line in reversed(after[: group[0][3]]) if line[:1] not in {"", " ", "#", "}"})
        lines.append(f"@@ {next(above, '')}".rstrip())
        for tag, old, old_end, new, new_end in group:
            if tag == "equal":
                lines += [f" {line}" for line in before[old:old_end]]
            else:
                lines += [f"-{line}" for line in before[old:old_end]] + [f"+{line}" for line in after[new:new_end]]
    return lines


CASES = [
    *(Case(name, GOLDEN / "clusters" / name) for name in CLUSTERS),
    *(Case(name, GOLDEN / "variations" / name) for name in VARIATIONS),
]


@cache
def cluster(name: str) -> Cluster:
    """Load a golden cluster."""
    folder = GOLDEN / "clusters" / name
    return load_text((folder / "cluster.yaml").read_text(), name=name, files=_beside(folder))


@cache
def cluster_tree(name: str) -> Tree:
    """Render a golden cluster."""
    return tree_of(cluster(name))


@cache
def variation(name: str) -> Cluster:
    """Load a variation: its base with the patch laid over, maps merged, null removing."""
    case = _case(name)
    base = GOLDEN / "clusters" / case.get("base", "minimal")
    spec = yaml.safe_load((base / "cluster.yaml").read_text())
    patched = merged([Layer("base", spec), Layer("patch", case.get("patch", {}))]).values
    beside = {**_beside(base), **_beside(GOLDEN / "variations" / name)}
    return load_text(yaml.safe_dump(patched, sort_keys=False), name=base.name, files=beside)


@cache
def variation_tree(name: str) -> Tree:
    """Render a variation."""
    keys = _case(name).get("keys", {})
    return tree_of(variation(name), keys.get("encryption", ENCRYPTION), keys.get("serviceAccount", SERVICE_ACCOUNT))


def tree_of(
    model: Cluster, encryption: Sequence[str] = ENCRYPTION, service_account: Sequence[str] = SERVICE_ACCOUNT
) -> Tree:
    """Render a model with requests in place of certificates, in some state of rotation."""
    folder = GOLDEN / "clusters" / model.name
    material = RequestMaterial(model, encryption_keys=encryption, service_account_keys=service_account)
    return render(model, material, read_lock(folder), GOLDEN)


def differences(expected: Mapping[str, bytes], actual: Mapping[str, bytes]) -> list[str]:
    """Return a unified diff of two sets of files; missing and extra files are in it."""
    lines: list[str] = []
    for path in sorted({*expected, *actual}):
        old, new = expected.get(path), actual.get(path)
        if old != new:
            before = [] if old is None else old.decode().splitlines()
            after = [] if new is None else new.decode().splitlines()
            states = ("missing" if old is None else "golden", "gone" if new is None else "now")
            lines.extend(
                difflib.unified_diff(before, after, f"{path} ({states[0]})", f"{path} ({states[1]})", lineterm="")
            )
            if not before and not after:
                lines.append(f"{path}: {states[0]}, {states[1]}, empty")
    return lines


def _case(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((GOLDEN / "variations" / name / "case.yaml").read_text())
    return found


def _beside(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted((folder / "files").rglob("*"))
        if path.is_file()
    }
