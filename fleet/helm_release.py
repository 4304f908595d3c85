"""A release of helm that a run left half-way, and the way back from there.

helm records that it began, and takes the record back when it ends. One that is killed in between, as Jenkins does five
seconds after an abort, leaves a release that helm refuses to touch from then on ("another operation is in progress").
helm itself is asked and told, https://helm.sh/docs/helm/helm_rollback/; commands and flags are those of helm 3 and 4.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from generator.errors import ApiError, RefusedError, WorkspaceError

NEWEST = 4
"""The major version of helm whose commands are taken where no helm can be asked."""
LONGEST = timedelta(minutes=30)
"""After this a release that has not ended is nobody's any more: a release and the way back, 15 minutes each."""
_WAIT = "10m"
_PENDING = re.compile(r"pending-(install|upgrade|rollback)")


@dataclass(frozen=True, slots=True)
class WayBack:
    """What is to be done for a release that was left half-way; `revision` None: there is none to go back to."""

    state: str
    since: datetime
    revision: int | None

    @property
    def words(self) -> str:
        """Return what is to be done, for people."""
        return "take away what was never complete" if self.revision is None else f"go back to revision {self.revision}"

    @property
    def done(self) -> str:
        """Return what was done, for people."""
        return (
            "took away what was never complete" if self.revision is None else f"went back to revision {self.revision}"
        )

    def command(self, name: str) -> list[str]:
        """Return the words for helm."""
        if self.revision is None:
            return ["uninstall", name, "--wait", "--timeout", _WAIT]
        return ["rollback", name, str(self.revision), "--wait", "--timeout", _WAIT, "--history-max", "10"]


@dataclass(frozen=True, slots=True)
class Helm:
    """helm, and where it works."""

    namespace: str
    words: Sequence[str] = ("helm",)

    def run(self, *words: str) -> str:
        """Return what a command prints; raises ApiError with helm's own words where it fails."""
        try:
            done = subprocess.run(
                [*self.words, *words, "--namespace", self.namespace], capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise WorkspaceError(f"{self.words[0]} cannot be run ({error.strerror}); install helm 3 or 4") from None
        if done.returncode:
            raise ApiError(_last_line(done.stderr) or f"helm {words[0]} ended with {done.returncode}")
        return done.stdout

    def way_back(self, name: str) -> WayBack | None:
        """Return what a release that was left half-way needs; None where there is none, or it is whole."""
        try:
            status = _document(self.run("status", name, "--output", "json"))
        except ApiError as error:
            if "release: not found" in str(error):
                return None
            raise
        info = status.get("info", {})
        state = str(info.get("status", ""))
        if not _PENDING.fullmatch(state):
            return None
        revisions = _document(self.run("history", name, "--output", "json"))
        good = {
            kind: max((int(one["revision"]) for one in revisions if one.get("status") == kind), default=None)
            for kind in ("deployed", "superseded")
        }
        since = datetime.fromisoformat(re.sub(r"\.[0-9]+", "", str(info["last_deployed"])))
        return WayBack(state, since, good["deployed"] or good["superseded"])


def recovered(helm: Helm, name: str, *, at_once: bool, dry_run: bool, now: datetime | None = None) -> WayBack | None:
    """Bring a release back that was left half-way, and return how; None where there was nothing to do.

    Raises RefusedError where it may still be at work, unless `at_once`; ApiError where helm fails.
    """
    way = helm.way_back(name)
    if way is None:
        return None
    age = (now or datetime.now(UTC)) - way.since
    if age < LONGEST and not at_once:
        minutes = int(age / timedelta(minutes=1))
        raise RefusedError(
            f"release {name} in {helm.namespace}: {way.state} since {minutes} minutes, and may still be at work; "
            f"wait for it, or where nothing is any more, run `ci.recover --at-once` ({way.words})"
        )
    if not dry_run:
        helm.run(*way.command(name))
    return way


def major() -> int:
    """Return the major version of the helm of this machine; `NEWEST` where none can be asked."""
    try:
        done = subprocess.run(
            ["helm", "version", "--template", "{{.Version}}"], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return NEWEST
    found = re.match(r"v([0-9]+)\.", done.stdout)
    return int(found[1]) if found else NEWEST


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ApiError("helm answers without JSON; see whether it is helm 3 or 4") from None


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("Error: ") if lines else ""
