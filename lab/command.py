"""Programs of this machine, run to their end, with a readable error when they fail."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.errors import LabError

_LAST_LINES = 12


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
) -> str:
    """Return what a program printed on standard output.

    ``env`` adds to the environment of this process, ``timeout`` is in seconds. Messages are asked
    for in English, since some callers read them. Raises LabError with the last lines that the
    program printed when it fails, cannot be started or takes too long.
    """
    words = [str(word) for word in argv]
    shown = " ".join(words[:6]) + (" …" if len(words) > 6 else "")
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as missing:
        raise LabError(f"`{shown}` cannot be started: {missing.filename} is missing", "install it") from missing
    except subprocess.TimeoutExpired as late:
        raise LabError(
            f"`{shown}` has not ended after {timeout:.0f} s", "look at the machine's load, try again"
        ) from late
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:])
        raise LabError(f"`{shown}` failed with exit code {done.returncode}", f"it said:\n{said}")
    return done.stdout


def succeeds(argv: Sequence[str | Path]) -> bool:
    """Return whether a program ended with exit code 0; what it prints is thrown away."""
    words = [str(word) for word in argv]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0
