"""From a document to the models of the schema: every fault of structure at once, in words, with file and line."""

from __future__ import annotations

import builtins
import copy
import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from generator.errors import Fault
from generator.spec.schema import ClusterSpec
from generator.spec.yaml_source import Document, Path

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


def structured(document: Document) -> tuple[ClusterSpec | None, list[Fault], bool]:
    """Return the spec, the faults of structure, and whether hosts and pools stand as they were written.

    Where faults can be cut away (an unknown key, a bad value that has a default) the spec without them is returned, so
    that the rules between fields can be checked in the same run; else it is None.
    """
    faults = _without_quotes(document)
    try:
        return ClusterSpec.model_validate(_readable(document)), faults, True
    except ValidationError as error:
        errors = error.errors(include_url=False)
    faults += [_fault(document, one) for one in errors]
    data = _readable(document)
    whole = True
    for one in errors:
        path = _path_in(data, one["loc"])
        if one["type"] == "missing" or path[:1] in {("hosts",), ("pools",)}:
            whole = whole and one["type"] == "extra_forbidden"
    for path in sorted({_path_in(data, one["loc"]) for one in errors}, key=_depth_first, reverse=True):
        _cut(data, path)
    try:
        return ClusterSpec.model_validate(data), faults, whole
    except ValidationError:
        return None, faults, False


def _readable(document: Document) -> Any:
    """Return the data without versions that are numbers, whose own fault says all; Kubernetes gets the one meant."""
    data = copy.deepcopy(document.data)
    for path in _numbers_for_versions(document):
        if path[-1] == "kubernetes":
            data["versions"]["kubernetes"] = _whole_version(document.raw[path])
        else:
            del data["versions"][path[-1]]
    return data


def _without_quotes(document: Document) -> list[Fault]:
    faults: list[Fault] = []
    for path in _numbers_for_versions(document):
        written, read = document.raw[path], document.data["versions"][path[-1]]
        what = f"{written} without quotes is a number to YAML, {read}, and not a version"
        todo = f'write major, minor and patch in quotes, like "{_whole_version(written)}"'
        faults.append(document.fault(path, what, todo))
    return faults


def _numbers_for_versions(document: Document) -> list[Path]:
    versions = document.data.get("versions") if isinstance(document.data, dict) else None
    if not isinstance(versions, dict):
        return []
    return [("versions", key) for key, value in versions.items() if type(value) in {int, float}]


def _whole_version(written: str) -> str:
    whole = f"{written}.0" if "." in written else f"{written}.0.0"
    return whole if re.fullmatch(r"[0-9]{1,5}\.[0-9]{1,5}\.[0-9]{1,5}", whole) else "1.36.0"


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


def _fault(document: Document, error: ErrorDetails) -> Fault:
    kind, context = error["type"], error.get("ctx", {})
    path = _path_in(document.data, error["loc"])
    if kind == "slipway":
        return document.fault(path, str(context["what"]), str(context["todo"]))
    if kind == "extra_forbidden":
        key = str(path[-1]) if path else ""
        known = _keys_at(error["loc"][:-1])
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


def _keys_at(location: Sequence[str | int]) -> list[str]:
    """Return the keys that the model at a location of pydantic knows."""
    at: Any = ClusterSpec
    for part in location:
        # What is not found is a name that pydantic put in itself.
        at = _inside(at, part) or at
    model = _model_in(at)
    return [] if model is None else [field.alias or name for name, field in model.model_fields.items()]


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
