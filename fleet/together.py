"""Work on hosts that comes to its end, whatever happens to others and to whoever waits for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from fleet.failures import one_error

T = TypeVar("T")


async def all_ended(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all, let each come to its end, then raise one error that names all that went wrong."""
    answers = await asyncio.gather(*work, return_exceptions=True)
    errors = [answer for answer in answers if isinstance(answer, BaseException)]
    if errors:
        raise one_error(errors)
    return [answer for answer in answers if not isinstance(answer, BaseException)]


async def to_its_end(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Await something that must not be cut off; whoever is cancelled meanwhile waits for its end, so long at most."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task}, timeout=seconds)
        if task.done() and not task.cancelled():
            # Looked at, so that nobody is told of an error that is no news to somebody who was cancelled.
            task.exception()
        raise
    finally:
        task.cancel()
