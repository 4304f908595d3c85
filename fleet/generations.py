"""Where the generation of a host comes from: written down there beside it, so that a rollback undoes one apply.

Two lines of JSON on each host. `about`: which tree made its present generation, when, by which run. `underway`: the
same for a change that has begun and not ended; while it is there, the host may have files of both generations.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import yaml

from fleet.commit import Commit
from fleet.connection import Connection
from fleet.host_scripts import run_script
from fleet.tree import RenderedTree


@dataclass(frozen=True, slots=True)
class Undone:
    """The apply that a rollback undid: its tree and commit, and when and by whose run that was."""

    tree: str
    commit: str
    run: str
    time: str
    operator: str


@dataclass(frozen=True, slots=True)
class About:
    """Who made a generation. `time` is when the run began (ISO 8601 in UTC); `commit` as in `Commit`.

    `undoes`: the tree that the run takes back, "" for an apply. `undone` is set where the host came back to this
    generation. `phases` is phases.yaml of the tree, so that a rollback waits for the gates of its own day.
    """

    generation: str
    tree: str
    commit: str
    clean: bool
    run: str
    time: str
    operator: str
    undoes: str = ""
    undone: Undone | None = None
    phases: Mapping[str, Any] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The line for the host's `about`."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @property
    def short_line(self) -> str:
        """The line for the host's `underway`: it needs no phases."""
        return replace(self, phases={}).line

    @property
    def words(self) -> str:
        """The tree and its commit for people, short."""
        commit = self.commit if self.commit == "no git" else f"commit {self.commit[:12]}"
        return f"tree {self.tree[:12]} ({commit}{'' if self.clean else ', not all of it committed'})"


def about_from(text: str) -> About | None:
    """Return what a line says; None for one that this Slipway has not written."""
    try:
        entry = json.loads(text)
        undone = (
            Undone(**{one.name: str(entry["undone"][one.name]) for one in fields(Undone)}) if entry["undone"] else None
        )
        words = {one: str(entry[one]) for one in ("generation", "tree", "commit", "run", "time", "operator", "undoes")}
        phases = entry["phases"]
        return About(
            **words, clean=bool(entry["clean"]), undone=undone, phases=phases if isinstance(phases, dict) else {}
        )
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Origin:
    """The run that changes hosts now, as they write it down."""

    tree: str
    commit: Commit
    run: str
    time: str
    operator: str
    undoes: str = ""
    phases: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def underway(self, host: str, generation: str) -> str:
        """Return the line that says where a host has set out to."""
        return self.made(generation).short_line

    def about(self, host: str, generation: str, present: str) -> str:
        """Return the line for a host that has arrived, "" where that is no other generation than it had."""
        return self.made(generation).line if generation != present else ""

    def made(self, generation: str) -> About:
        """Return who makes a generation."""
        return About(
            generation, self.tree, self.commit.id, self.commit.clean, self.run, self.time, self.operator,
            undoes=self.undoes, phases=self.phases,
        )  # fmt: skip


def origin_of(tree: RenderedTree, commit: Commit, run: str, time: str, operator: str) -> Origin:
    """Return the origin of what an apply of the tree makes."""
    document = yaml.safe_load((tree.path / "phases.yaml").read_bytes())
    return Origin(tree.digest, commit, run, time, operator, phases=document)


@dataclass(frozen=True, slots=True)
class History:
    """Where one host comes from, "" and None for what it does not know; `before` is the generation that it has kept."""

    host: str
    generation: str = ""
    about: About | None = None
    underway: About | None = None
    before: str = ""
    before_about: About | None = None


async def history_of(host: str, connection: Connection) -> History:
    """Ask a host where its generation comes from; raises HostError."""
    words: dict[str, str] = {}
    present: list[About] = []
    for word, *rest in await run_script(connection, "history", ["look"]):
        if word == "about":
            present += [found] if (found := about_from(rest[0])) else []
        elif rest:
            words[word] = rest[0]
    generation, before = words.get("generation", ""), words.get("before", "")
    earlier = about_from(words.get("before-about", ""))
    return History(
        host=host,
        generation=generation,
        # An older Slipway records a generation and leaves what the one before it was said to be.
        about=next((one for one in present if one.generation == generation), None),
        underway=about_from(words.get("underway", "")),
        before=before,
        before_about=earlier if earlier is not None and earlier.generation == before else None,
    )


Slots = Mapping[tuple[str, str], Sequence[tuple[str, str]]]
"""Of texts with secrets, by path and content id: name and id of each secret, in the order of the text."""


async def manifest_of(connection: Connection, generation: str) -> tuple[list[list[str]], Slots]:
    """Return the lines of the manifest that a host has kept of a generation, and what it knows of texts with secrets.

    Raises HostError where it is not kept.
    """
    items: list[list[str]] = []
    slots: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for word, *rest in await run_script(connection, "history", ["items", generation]):
        if word == "item":
            items.append(rest)
        elif word == "slots":
            slots[rest[0], rest[1]] = slots_from(rest[2])
    return items, slots


def slots_from(text: str) -> list[tuple[str, str]]:
    """Return name and id of the secrets of a text, as a manifest lists them: name=id, separated by commas."""
    pairs = [one.rpartition("=") for one in text.split(",")] if text not in {"", "-"} else []
    return [(name, id_) for name, _, id_ in pairs]
