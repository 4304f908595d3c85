"""Many hosts at once: each comes to its end before an error of one is raised."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from generator.errors import GateError

T = TypeVar("T")


async def all_ended(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all, let each come to its end, then raise the first error, a gate's before others."""
    answers = await asyncio.gather(*work, return_exceptions=True)
    errors = [answer for answer in answers if isinstance(answer, BaseException)]
    if errors:
        raise next((error for error in errors if isinstance(error, GateError)), errors[0])
    return [answer for answer in answers if not isinstance(answer, BaseException)]
