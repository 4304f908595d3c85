"""Errors of many hosts as one: none of them is lost, and the first keeps its kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from generator.errors import GateError, SlipwayError

E = TypeVar("E", bound=BaseException)


def enlarged(error: E, text: str) -> E:
    """Return the error with a line more; its kind, host and unit stay as they are."""
    error.args = (f"{error}\n{text}", *error.args[1:])
    return error


def one_error(errors: Sequence[BaseException]) -> BaseException:
    """Return one error that names all: a gate's before others, then what Slipway knows, the rest of the texts below."""
    ranked = sorted(errors, key=lambda error: (not isinstance(error, GateError), not isinstance(error, SlipwayError)))
    first, others = ranked[0], [str(error) for error in ranked[1:] if isinstance(error, SlipwayError)]
    told = [text for text in dict.fromkeys(others) if text != str(first)]
    return enlarged(first, "\n".join(told)) if told else first
