"""From a document to the models of the schema: every fault of structure at once, in words, with file and line."""

from __future__ import annotations

import builtins
import copy
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from generator.errors import Fault
from generator.spec.yaml_source import Document, Path

M = TypeVar("M", bound=BaseModel)

_SHAPES = {
    "dict_type": ("is not a mapping", "write keys below it, each with a colon"),
    "model_type": ("is not a mapping", "write keys below it, each with a colon"),
    "model_attributes_type": ("is not a mapping", "write keys below it, each with a colon"),
    "list_type": ("is not a list", "write its entries as - lines or in [ ]"),
    "string_type": ("is not text", "put it in quotes"),
    "int_type": ("is not a whole number", "write digits without quotes"),
    "bool_type": ("is neither true nor false", "write true or false without quotes"),
}


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word most like the given one, whatever their case, or an empty text."""
    lower = {one.lower(): one for one in sorted(known)}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    return lower[found[0]] if found else ""


def suggestion(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return what to do about an unknown word: write the nearest one, else `otherwise`."""
    found = nearest(word, known)
    return f"did you mean {found}?" if found else otherwise


@dataclass(frozen=True, slots=True)
class Structured(Generic[M]):
    """What a document gives: the model, None where it cannot be had, its faults, and where each of them was cut away.

    `cuts` holds with each path the kind of fault, by pydantic's name.
    """

    model: M | None
    faults: list[Fault]
    cuts: tuple[tuple[Path, str], ...] = ()


def structured(document: Document, model: type[M], data: Any = None) -> Structured[M]:
    """Return a document as a model, with every fault of structure.

    Where faults can be cut away (an unknown key, a bad value that has a default) the model without them is returned, so
    that the rules between fields can be checked in the same run. `data` stands for the document's value where
    something in it has been judged already.
    """
    read = document.data if data is None else data
    try:
        return Structured(model.model_validate(read), [])
    except ValidationError as error:
        errors = error.errors(include_url=False)
    faults = [_fault(document, model, one) for one in errors]
    rest = copy.deepcopy(read)
    cuts = tuple((_path_in(rest, one["loc"]), one["type"]) for one in errors)
    for path in sorted({path for path, _ in cuts}, key=_depth_first, reverse=True):
        _cut(rest, path)
    try:
        return Structured(model.model_validate(rest), faults, cuts)
    except ValidationError:
        return Structured(None, faults, cuts)


def _path_in(data: Any, location: Sequence[str | int]) -> Path:
    """Return a location of pydantic as a path of the file, without the parts that pydantic put in itself."""
    path: list[str | int] = []
    at = data
    for index, part in enumerate(location):
        if part == "[key]":
            break
        if isinstance(at, dict) and isinstance(part, str):
            if part in at or index == len(location) - 1:
                path.append(part)
                at = at.get(part)
        elif isinstance(at, list) and isinstance(part, int) and part < len(at):
            path.append(part)
            at = at[part]
    return tuple(path)


def _fault(document: Document, model: type[BaseModel], error: ErrorDetails) -> Fault:
    kind, context = error["type"], error.get("ctx", {})
    path = _path_in(document.data, error["loc"])
    if kind == "slipway":
        return document.fault(path, str(context["what"]), str(context["todo"]))
    if kind == "extra_forbidden":
        key = str(path[-1]) if path else ""
        known = _keys_at(model, error["loc"][:-1])
        return document.fault(path, "is not a key here", suggestion(key, known, f"known are: {', '.join(known)}"))
    if kind == "missing":
        return document.fault(path, "is missing", "add it")
    if kind in _SHAPES:
        what, todo = _SHAPES[kind]
        if error["input"] is None:
            return document.fault(path, "is empty", "give it a value, or take the key out")
        if kind == "string_type" and path in document.raw and path[-1] == "mode":
            return document.fault(
                path, f"{document.raw[path]} without quotes is a number to YAML", f'write "{document.raw[path]}"'
            )
        if kind == "string_type" and not isinstance(error["input"], (dict, list)):
            return document.fault(path, what, f'put it in quotes: "{document.raw.get(path, error["input"])}"')
        return document.fault(path, what, todo)
    if kind in {"literal_error", "enum"}:
        expected = [word.strip().strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(",")]
        listed = ", ".join(expected[:-1]) + (f" or {expected[-1]}" if len(expected) > 1 else expected[-1])
        shown = document.raw.get(path, str(error["input"]))
        return document.fault(path, f"{shown!r} is not known here", f"write {listed}")
    return document.fault(path, _sentence(error["msg"]), "correct the value")


def _sentence(message: str) -> str:
    text = message[:1].lower() + message[1:]
    return text.replace("input should", "should").replace("list should", "should")


def _keys_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Return the keys that the section at a location of pydantic knows."""
    at: Any = model
    for part in location:
        # What is not found is a name that pydantic put in itself.
        at = _inside(at, part) or at
    section = _model_in(at)
    return [] if section is None else [field.alias or name for name, field in section.model_fields.items()]


def _inside(annotation: Any, part: str | int) -> Any:
    """Return what is declared for a key of a model or a map or for an entry of a list, None for what is not there."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {field.alias or name: field.annotation for name, field in annotation.model_fields.items()}
        return fields.get(str(part))
    inner = get_args(annotation)
    match get_origin(annotation):
        case builtins.dict:
            return inner[1]
        case builtins.list:
            return inner[0] if isinstance(part, int) else None
    return next((found for one in inner if (found := _inside(one, part)) is not None), None)


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None


def _cut(data: Any, path: Path) -> None:
    if not path:
        return
    for part in path[:-1]:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return
    last = path[-1]
    if isinstance(data, dict) and isinstance(last, str):
        data.pop(last, None)
    elif isinstance(data, list) and isinstance(last, int) and last < len(data):
        del data[last]


def _depth_first(path: Path) -> tuple[tuple[bool, int, str], ...]:
    return tuple((isinstance(part, int), part, "") if isinstance(part, int) else (False, 0, part) for part in path)
