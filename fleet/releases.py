"""Releasing to virtual machines: one host after the other, and none after one that did not get well.

The archive is brought to every host before the first of them switches, so that one that cannot be entered, or has no
room, is found while the old release still runs everywhere. What a host does is in scripts/release.sh: it switches, asks
whether it is well, and goes back by itself, so that a connection that breaks leaves no host between two releases.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from fleet.artifacts import chunks
from fleet.connection import Connection
from fleet.host_scripts import run_script
from fleet.release_archive import archive
from generator.errors import HostError, RefusedError

STATES = ("deployed", "unchanged", "back", "stopped", "unwell", "broken", "failed", "untouched")
"""What became of a host. back: the one before runs again; stopped: there was none; unwell: it was this one, and stays;
broken: nor does the one before run."""
WITHIN = 120
"""Seconds in which a release gets well."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_COPY_SECONDS = 1800
Enter = Callable[[str], Awaitable[Connection]]
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one host; `why` says what went wrong, `journal` the unit's last words where they can be read."""

    host: str
    state: str
    why: str = ""
    journal: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Return whether the release runs there."""
        return self.state in {"deployed", "unchanged"}

    @property
    def bad(self) -> bool:
        """Return whether something was done or asked there and did not come out well."""
        return not self.good and self.state != "untouched"

    def line(self, release: str) -> str:
        """Return it in words."""
        words = {
            "deployed": f"release {release} runs and is well",
            "unchanged": f"release {release} runs already and is well",
            "back": f"release {release} did not get well ({self.why}); the one before runs again",
            "stopped": f"release {release} did not get well ({self.why}); there was none before, so nothing runs",
            "unwell": f"release {release} ran there before, was started anew and is not well ({self.why}); it was left "
            "running",
            "broken": f"release {release} did not get well, and the one before does not either ({self.why}); "
            "look at the host now",
            "untouched": "not touched, what ran there runs",
        }
        # What could not be asked at all names its host itself.
        return self.why if self.state == "failed" else f"{self.host}: {words[self.state]}"


@dataclass(frozen=True, slots=True)
class Target:
    """What is released to, alike on each host: folder, unit, how many releases stay, and how one sees that it is well.

    `health` is `http`, port and path; `tcp` and port; or `exec` and the words of a command. `files` are the texts of
    unit and environment by name.
    """

    hosts: Sequence[str]
    directory: str
    unit: str
    keep: int
    health: Sequence[str]
    delay: int
    timeout: int
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Release:
    """One release as it goes to hosts: its name, and its archive with the digest of that."""

    id: str
    digest: str
    archive: Path
    within: int = WITHIN


Step = Callable[[Connection, Target, Release, Told], Awaitable[Outcome]]


def release_id(said: str | None, digest: str) -> str:
    """Return the name of a release: what is said, else the beginning of its digest; raises RefusedError for no name."""
    if said is None:
        return digest[:12]
    if _ID.fullmatch(said) is None:
        raise RefusedError(f"--release {said!r}: use letters, digits, dots, underscores and hyphens, at most 100")
    return said


async def deploy(
    target: Target,
    artifact: Path,
    enter: Enter,
    *,
    release: str | None = None,
    within: int = WITHIN,
    told: Told = lambda line: None,
) -> tuple[Release, tuple[Outcome, ...]]:
    """Release to hosts in their order; return the release, and what became of each host.

    Raises RefusedError for an artifact that cannot be sent.
    """
    with TemporaryDirectory(prefix="slipway-release-") as folder:
        file = Path(folder) / "release.tar"
        digest = await asyncio.to_thread(archive, artifact, target.files, file)
        one = Release(release_id(release, digest), digest, file, within)
        outcomes: tuple[Outcome, ...] = ()
        for step in (_brought, _started):
            outcomes = await _each(target, one, enter, step, told)
            if any(outcome.bad for outcome in outcomes):
                break
        return one, outcomes


async def _each(target: Target, release: Release, enter: Enter, step: Step, told: Told) -> tuple[Outcome, ...]:
    """Take a step on one host after the other, and on none after one where it did not come out well."""
    found: list[Outcome] = []
    for host in target.hosts:
        outcome = Outcome(host, "untouched")
        if not any(one.bad for one in found):
            try:
                connection = await enter(host)
                try:
                    outcome = await step(connection, target, release, told)
                finally:
                    await connection.close()
            except HostError as error:
                outcome = Outcome(host, "failed", str(error))
            if outcome.state != "untouched":
                told(outcome.line(release.id))
        found.append(outcome)
    return tuple(found)


async def _brought(connection: Connection, target: Target, release: Release, told: Told) -> Outcome:
    """Bring the archive to a host, unless it is there."""
    place = (target.directory, release.id)
    known = dict(line for line in await run_script(connection, "release", ("look", *place)) if len(line) == 2)
    if known.get("digest") != release.digest:
        stage = ("stage", *place, release.digest)
        await run_script(connection, "release", stage, chunks(release.archive), timeout=_COPY_SECONDS)
        told(f"{connection.host}: release {release.id} is there")
    return Outcome(connection.host, "untouched")


async def _started(connection: Connection, target: Target, release: Release, told: Told) -> Outcome:
    """Start a release that is there, and return how that went."""
    # Twice the wait: a release that does not get well gives its time to the one before.
    seconds = 2 * (release.within + target.delay) + 300
    try:
        lines = await run_script(connection, "release", start_words(target, release), timeout=seconds)
    except asyncio.CancelledError:
        told(f"{connection.host}: ends by itself what was begun there: release {release.id} gets well, or goes back")
        raise
    outcome = Outcome(
        connection.host, "failed", f"{connection.where}: the host said nothing of the release; look there"
    )
    for key, *rest in lines:
        match key:
            case "why":
                outcome = replace(outcome, why=rest[0])
            case "journal":
                outcome = replace(outcome, journal=(*outcome.journal, rest[0]))
            case "state":
                why = rest[2] if len(rest) > 2 else outcome.why
                outcome = replace(outcome, state=rest[0], why="" if rest[0] in {"deployed", "unchanged"} else why)
            case _:
                continue
    return outcome


def start_words(target: Target, release: Release) -> Sequence[str]:
    """Return the words with which the script on a host starts a release."""
    numbers = (str(target.keep), str(release.within), str(target.delay), str(target.timeout))
    return ("start", target.directory, release.id, target.unit, *numbers, *target.health)
