"""Lines that tell a waiting person which stage of the lab runs and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(line: str) -> None:
    """Print one line at once, even into a pipe."""
    print(f"lab: {line}", flush=True)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Announce a stage and, when it has succeeded, say how many minutes it took."""
    say(f"{name} …")
    began = time.monotonic()
    yield
    say(f"{name}: {(time.monotonic() - began) / 60:.1f} min")
