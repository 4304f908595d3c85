"""What every verb shares: one clear sentence instead of a traceback, and the exit codes 0, 1 and 2."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from invoke.exceptions import Exit
from invoke.tasks import task

from generator.errors import SlipwayError

F = TypeVar("F", bound=Callable[..., Any])


def verb(**options: Any) -> Callable[[F], Any]:
    """Return a decorator that makes a function an invoke task.

    A SlipwayError ends the verb with its text and exit code 1; a number that the function returns is the exit code.
    SIGTERM and a closed terminal end it as Ctrl-C does, so that tokens, bootstrap kubeconfigs and the lock are given
    back.
    """

    def made(function: F) -> Any:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                with _ended_like_by_hand():
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


@contextmanager
def _ended_like_by_hand() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into what Ctrl-C does; one that is ignored, as under nohup, stays ignored."""

    def end(number: int, frame: FrameType | None) -> None:
        # asyncio's own handler, while it runs, cancels the run and lets it clean up.
        handler = signal.getsignal(signal.SIGINT)
        if not callable(handler):
            raise KeyboardInterrupt
        handler(signal.SIGINT, frame)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    for one in signals:
        signal.signal(one, end)
    try:
        yield
    finally:
        for one in signals:
            signal.signal(one, signal.SIG_DFL)


def agreed(question: str, assumed: bool) -> bool:
    """Return whether the operator agrees; without a terminal only --yes agrees."""
    if assumed:
        return True
    if not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


async def agreed_meanwhile(question: str) -> bool:
    """Return whether the operator agrees, asked on standard error while the event loop goes on; never without one."""
    if not sys.stdin.isatty():
        return False
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    loop, typed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), typed.set)
    try:
        await typed.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
