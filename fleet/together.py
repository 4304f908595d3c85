"""Many hosts at once: each comes to its end before an error of one is raised."""

from __future__ import annotations

import asyncio
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
