"""What every verb shares: one clear sentence instead of a traceback, and the exit codes 0, 1 and 2."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from invoke.exceptions import Exit
from invoke.tasks import task

from generator.errors import SlipwayError

F = TypeVar("F", bound=Callable[..., Any])


def verb(**options: Any) -> Callable[[F], Any]:
    """Return a decorator that makes a function an invoke task.

    A SlipwayError ends the verb with its text and exit code 1; a number that the function returns is the exit code.
    """

    def made(function: F) -> Any:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                code = function(*args, **kwargs)
            except SlipwayError as error:
                raise Exit(f"error: {error}", code=1) from error
            except BrokenPipeError as error:
                # Whoever read the output has left; Python would complain once more when it flushes at its end.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise Exit(code=141) from error
            except KeyboardInterrupt as error:
                raise Exit("interrupted; run the same command again to go on", code=130) from error
            if isinstance(code, int) and code:
                raise Exit(code=code)

        return task(**options)(run)

    return made


def agreed(question: str, assumed: bool) -> bool:
    """Return whether the operator agrees; without a terminal only --yes agrees."""
    if assumed:
        return True
    if not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
