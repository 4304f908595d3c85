"""Runs of `invoke apply` that are killed (-9), at an event of theirs or after a time, with all that they started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import network
from tests.lab.cluster_under_test import REPOSITORY, LabCluster
from tests.lab.session import environment

Event = dict[str, Any]
ACTIVATIONS = ("host", "object")
"""What a run tells when something on a host or in the API has changed."""

LONGEST = 900
"""No apply of the pair takes longer, in seconds; what does is ended and fails its test."""


@dataclass
class Attempt:
    """What one run told before the kill and what had been on its way when it hit; `signal` 9 where it was killed."""

    exit: int = 0
    errors: str = ""
    before: list[Event] = field(default_factory=list)
    after: list[Event] = field(default_factory=list)

    @property
    def killed(self) -> bool:
        return self.exit == -signal.SIGKILL

    @property
    def told(self) -> list[Event]:
        return [*self.before, *self.after]

    @property
    def last_phase(self) -> str:
        """The phase in which the run was, "start" before the first."""
        return next((str(event["phase"]) for event in reversed(self.told) if event["event"] == "phase"), "start")


@dataclass(frozen=True)
class Moment:
    """In a phase before anything of it was activated anywhere, or right after its first activation."""

    phase: str
    activated: bool

    def __str__(self) -> str:
        return f"{'after the first activation of' if self.activated else 'before'} {self.phase}"

    def is_now(self, event: Event) -> bool:
        """Whether an event is the one at which to kill."""
        if event.get("phase") != self.phase:
            return False
        return bool(event["event"] in ACTIVATIONS if self.activated else event["event"] == "phase")

    def met_by(self, attempt: Attempt) -> Moment | None:
        """Return the moment at which the kill struck; None where the run had ended or was in another phase by then.

        On a busy machine a run that was to be hit before the first activation of a phase is hit right after it.
        """
        if not attempt.killed or not attempt.before or not self.is_now(attempt.before[-1]):
            return None
        activated = [event.get("phase") for event in attempt.after if event["event"] in ACTIVATIONS]
        return Moment(self.phase, self.activated or bool(activated)) if {*activated} <= {self.phase} else None


def apply(
    cluster: LabCluster, *, kill_at: Callable[[Event], bool] | None = None, kill_after: float | None = None
) -> Attempt:
    """Run apply, killed at the first event for which `kill_at` holds, or `kill_after` seconds after its start."""
    return run_verb(cluster, "apply", "--source", str(cluster.artifacts), kill_at=kill_at, kill_after=kill_after)


def run_verb(
    cluster: LabCluster,
    *verb: str,
    kill_at: Callable[[Event], bool] | None = None,
    kill_after: float | None = None,
) -> Attempt:
    """Run a verb that tells events, killed as `apply` is."""
    words = [
        str(Path(sys.executable).with_name("invoke")), "--search-root", str(REPOSITORY),
        *verb, "--json", "--yes", "--cluster", cluster.name,
    ]  # fmt: skip
    attempt = Attempt()
    with tempfile.TemporaryFile("w+") as errors:
        run = subprocess.Popen(
            [*network.entering(network.NAMESPACE), *words],
            env=environment(cluster.workspace.parent),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )

        def kill() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)

        timer = threading.Timer(LONGEST if kill_after is None else kill_after, kill)
        timer.start()
        assert run.stdout is not None
        hit = False
        for line in run.stdout:
            with contextlib.suppress(ValueError):  # the last line of a killed run may be half a line
                event = json.loads(line)
                (attempt.after if hit else attempt.before).append(event)
                if not hit and kill_at is not None and kill_at(event):
                    kill()
                    hit = True
        attempt.exit = run.wait()
        run.stdout.close()
        timer.cancel()
        errors.seek(0)
        attempt.errors = errors.read()
    return attempt
