"""One question for many who ask it: what one of them was told a moment ago is the answer for all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from generator.errors import SlipwayError


class Shared:
    """A check that many hosts of a run wait for at once; it passes, or raises what `ask` raises.

    An answer serves whoever asked before its question went out, or at most `fresh` seconds after. So hosts that ask
    together cost two questions at most, and with `fresh` 0 nobody gets an answer older than the own question. What was
    refused once is refused to everybody from then on, in the same words: half a run is no use.
    """

    def __init__(self, ask: Callable[[], Awaitable[None]], *, fresh: float = 0.0) -> None:
        self._ask = ask
        self._fresh = fresh
        self._turn = asyncio.Lock()
        self._asked = float("-inf")
        self._refusal: SlipwayError | None = None

    async def __call__(self) -> None:
        """Ask, or go by what others were answered."""
        called = time.monotonic()
        async with self._turn:
            if self._refusal is not None:
                raise self._refusal
            if self._asked + self._fresh < called:
                began = time.monotonic()
                try:
                    await self._ask()
                except SlipwayError as error:
                    self._refusal = error
                    raise
                self._asked = began
